DELETE FROM staging.loads_seen
WHERE table_name = :table_name
