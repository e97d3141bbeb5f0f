INSERT INTO pending_event_days (event_day)
SELECT DISTINCT event_day
FROM staging.event_days
WHERE file_day IN (SELECT file_day FROM pending_days)
