SELECT load_id
FROM staging.loads_seen
WHERE table_name = :table_name AND source_table = :source_table
