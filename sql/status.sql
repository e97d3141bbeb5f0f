-- What `sparkify status` tells.

-- name: files
-- What the staging tables were loaded from.
SELECT
    table_name,
    COUNT(*) AS files,
    MIN(file_day) AS first_day,
    MAX(file_day) AS last_day,
    MAX(loaded_at) AS loaded_at
FROM staging.loaded_files
GROUP BY table_name;

-- name: loads
-- The tables that this warehouse has been given so far, and when each last changed.
SELECT
    table_name,
    loaded_at
FROM staging.ledger;
