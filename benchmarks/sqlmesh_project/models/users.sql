MODEL (
  name analytics.users,
  kind FULL,
  depends_on (staging.staging_events),
  audits (
    row_count(
      expected := (SELECT COUNT(DISTINCT user_id) FROM staging.staging_events WHERE user_id <> '')
    ),
    unique_values(columns := (user_id)),
    not_null(columns := (user_id)),
    accepted_values(column := level, is_in := ('free', 'paid')),
    accepted_values(column := gender, is_in := ('F', 'M'))
  )
);

SELECT events.user_id, first_name, last_name, gender, level
FROM staging.current_events AS events
INNER JOIN (
  SELECT user_id, MAX(ts) AS ts
  FROM staging.current_events
  WHERE user_id <> ''
  GROUP BY user_id
) AS latest
  ON events.user_id = latest.user_id AND events.ts = latest.ts
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY events.user_id ORDER BY session_id DESC, item_in_session DESC
  ) = 1
