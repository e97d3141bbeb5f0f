SELECT
    load_id,
    is_full
FROM staging.loads
WHERE table_name = :table_name
ORDER BY load_id DESC
LIMIT 1
