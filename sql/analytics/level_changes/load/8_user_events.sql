-- The events of these days that tell a user's level.
CREATE TEMP TABLE user_events AS
SELECT
    user_id,
    CAST(ts AS DATE) AS event_day,
    ts,
    session_id,
    item_in_session,
    level
FROM staging.current_events
WHERE
    file_day IN (
        SELECT file_day
        FROM staging.event_days
        WHERE event_day IN (SELECT event_day FROM pending_event_days)
    )
    AND CAST(ts AS DATE) IN (SELECT event_day FROM pending_event_days)
    AND user_id <> ''
    AND level IS NOT NULL
