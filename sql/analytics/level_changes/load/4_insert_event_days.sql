INSERT INTO staging.event_days (file_day, event_day)
SELECT DISTINCT
    file_day,
    CAST(ts AS DATE)
FROM staging.staging_events
WHERE file_day IN (SELECT file_day FROM pending_days)
