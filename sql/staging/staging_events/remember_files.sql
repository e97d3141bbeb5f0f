INSERT INTO staging.loaded_files (
    table_name, file_name, file_day, size_bytes, version, content_hash, line_count, row_count,
    run_id, loaded_at
)
SELECT
    'staging_events',
    new_files.file_name,
    new_files.file_day,
    new_files.size_bytes,
    new_files.version,
    new_files.content_hash,
    new_files.line_count,
    CASE
        WHEN ROW_NUMBER() OVER (PARTITION BY new_files.file_day ORDER BY new_files.file_name) = 1
            THEN COALESCE(counted.row_count, 0)
        ELSE 0
    END,
    :run_id,
    CAST(:loaded_at AS TIMESTAMP)
FROM new_files
LEFT JOIN (
    SELECT
        file_day,
        COUNT(*) AS row_count
    FROM staging.staging_events
    WHERE file_day IN (SELECT file_day FROM new_files)
    GROUP BY file_day
) AS counted
    ON new_files.file_day = counted.file_day
