-- What the staging tables were loaded from.
SELECT
    table_name,
    COUNT(*) AS files,
    MIN(file_day) AS first_day,
    MAX(file_day) AS last_day,
    MAX(loaded_at) AS loaded_at
FROM staging.loaded_files
GROUP BY table_name
