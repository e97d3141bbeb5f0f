-- When each table last changed.
SELECT
    table_name,
    MAX(loaded_at) AS loaded_at
FROM staging.loads
GROUP BY table_name
