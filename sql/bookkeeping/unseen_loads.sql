-- How far a table has taken in the loads of each table, and whether one that is still to come, or
-- the first of all, replaces everything.
SELECT
    loads.table_name AS source_table,
    COALESCE(MAX(seen.load_id), 0) AS seen_id,
    MAX(loads.load_id) AS latest_id,
    MAX(
        CASE
            WHEN seen.load_id IS NULL OR (loads.is_full AND loads.load_id > seen.load_id) THEN 1
            ELSE 0
        END
    ) AS is_full
FROM staging.loads AS loads
LEFT JOIN staging.loads_seen AS seen
    ON loads.table_name = seen.source_table AND seen.table_name = :table_name
GROUP BY loads.table_name
