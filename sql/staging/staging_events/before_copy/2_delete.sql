DELETE FROM staging.staging_events
WHERE :is_full OR file_day IN (SELECT file_day FROM replaced_files)
