SELECT
    load_id,
    is_full
FROM staging.loads
WHERE table_name = :table_name AND load_id > :seen_id
ORDER BY load_id
