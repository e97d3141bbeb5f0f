/* Of an event that lies in several files the latest file day's copy counts. */
MODEL (
  name staging.current_events,
  kind VIEW
);

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
