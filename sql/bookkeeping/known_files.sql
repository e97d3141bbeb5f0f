SELECT
    file_name,
    size_bytes,
    version,
    content_hash,
    file_day
FROM staging.loaded_files
WHERE table_name = :table_name
