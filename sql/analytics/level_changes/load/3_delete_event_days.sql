DELETE FROM staging.event_days
WHERE :is_full OR file_day IN (SELECT file_day FROM pending_days)
