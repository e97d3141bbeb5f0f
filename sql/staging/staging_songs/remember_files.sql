INSERT INTO staging.loaded_files (
    table_name, file_name, size_bytes, version, content_hash, line_count, row_count,
    run_id, loaded_at
)
SELECT
    'staging_songs',
    new_files.file_name,
    new_files.size_bytes,
    new_files.version,
    new_files.content_hash,
    new_files.line_count,
    COALESCE(counted.row_count, 0),
    :run_id,
    CAST(:loaded_at AS TIMESTAMP)
FROM new_files
LEFT JOIN (
    SELECT
        source_file,
        COUNT(*) AS row_count
    FROM staging.staging_songs
    GROUP BY source_file
) AS counted
    ON new_files.file_name = counted.source_file
