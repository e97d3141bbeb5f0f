MODEL (
  name staging.repeated_events,
  kind FULL,
  audits (event_once)
);

SELECT session_id, item_in_session
FROM staging.staging_events
GROUP BY session_id, item_in_session
HAVING COUNT(*) > 1
