-- What a table's latest load changed: the first and the last day, NULL where it changed no days.
SELECT
    loads.is_full,
    MIN(changes.changed_day) AS first_day,
    MAX(changes.changed_day) AS last_day
FROM staging.loads AS loads
LEFT JOIN staging.load_changes AS changes
    ON loads.table_name = changes.table_name AND loads.load_id = changes.load_id
WHERE loads.table_name = :table_name
GROUP BY loads.load_id, loads.is_full
ORDER BY loads.load_id DESC
LIMIT 1
