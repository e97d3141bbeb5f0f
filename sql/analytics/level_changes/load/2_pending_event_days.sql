-- The days (UTC, of the events) to build again: those that were in the changed files; those that are
-- now in them follow. Going by file alone would tear a user's day apart where two files share it.
CREATE TEMP TABLE pending_event_days AS
SELECT DISTINCT event_day
FROM staging.event_days
WHERE file_day IN (SELECT file_day FROM pending_days)
