DELETE FROM staging.repeated_events
WHERE :is_full OR session_id IN (SELECT session_id FROM touched_sessions)
