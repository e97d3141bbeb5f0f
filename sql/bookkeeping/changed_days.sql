-- The first and the last day that a load changed; NULL where it replaced the whole table.
SELECT
    MIN(changed_day) AS first_day,
    MAX(changed_day) AS last_day
FROM staging.load_changes
WHERE table_name = :table_name AND load_id = :load_id
