SELECT
    file_day,
    CAST(SUM(row_count) AS BIGINT) AS row_count
FROM staging.loaded_files
WHERE table_name = 'staging_events' AND file_day IN (SELECT file_day FROM new_files)
GROUP BY file_day
ORDER BY file_day
