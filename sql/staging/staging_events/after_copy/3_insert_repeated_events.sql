INSERT INTO staging.repeated_events (session_id, item_in_session, file_day, copies)
SELECT
    events.session_id,
    events.item_in_session,
    events.file_day,
    COUNT(*)
FROM staging.staging_events AS events
INNER JOIN (
    SELECT
        session_id,
        item_in_session
    FROM staging.staging_events
    WHERE :is_full OR session_id IN (SELECT session_id FROM touched_sessions)
    GROUP BY session_id, item_in_session
    HAVING COUNT(*) > 1
) AS repeated
    ON events.session_id = repeated.session_id
    AND events.item_in_session = repeated.item_in_session
GROUP BY events.session_id, events.item_in_session, events.file_day
