-- The sessions whose repeated events have to be looked for again; the new rows' sessions follow.
CREATE TEMP TABLE touched_sessions AS
SELECT DISTINCT session_id
FROM staging.repeated_events
WHERE file_day IN (SELECT file_day FROM replaced_files)
