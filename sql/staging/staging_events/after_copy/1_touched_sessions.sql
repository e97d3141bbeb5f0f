INSERT INTO touched_sessions (session_id)
SELECT DISTINCT session_id
FROM staging.staging_events
WHERE file_day IN (SELECT file_day FROM new_files)
