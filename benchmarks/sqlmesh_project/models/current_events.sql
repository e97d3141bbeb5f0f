/* Of an event that lies in several files the latest file day's copy counts. */
MODEL (
  name staging.current_events,
  kind VIEW
);

SELECT * REPLACE (
  RTRIM(artist, ' ') AS artist,
  RTRIM(first_name, ' ') AS first_name,
  RTRIM(gender, ' ') AS gender,
  RTRIM(last_name, ' ') AS last_name,
  RTRIM(level, ' ') AS level,
  RTRIM(location, ' ') AS location,
  RTRIM(page, ' ') AS page,
  RTRIM(song, ' ') AS song,
  RTRIM(user_agent, ' ') AS user_agent,
  RTRIM(user_id, ' ') AS user_id
)
FROM (
SELECT events.*
FROM staging.staging_events AS events
ANTI JOIN staging.repeated_events AS repeated
  ON events.session_id = repeated.session_id AND events.item_in_session = repeated.item_in_session
UNION ALL
SELECT events.*
FROM staging.staging_events AS events
SEMI JOIN staging.repeated_events AS repeated
  ON events.session_id = repeated.session_id AND events.item_in_session = repeated.item_in_session
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY events.session_id, events.item_in_session
    ORDER BY
      file_day DESC, ts DESC, page, user_id, first_name, last_name, gender, level, location,
      user_agent, song, artist, length
  ) = 1
) AS counted
