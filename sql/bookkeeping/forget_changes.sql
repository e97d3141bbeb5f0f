-- Changes that every reader has taken in; the latest load's stay for the checks.
DELETE FROM staging.load_changes
WHERE
    table_name = :table_name
    AND load_id < (SELECT MIN(load_id) FROM staging.loads_seen WHERE source_table = :table_name)
