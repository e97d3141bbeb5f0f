-- Loads that every reader has taken in, but the latest.
DELETE FROM staging.loads
WHERE
    table_name = :table_name
    AND load_id < (SELECT MIN(load_id) FROM staging.loads_seen WHERE source_table = :table_name)
