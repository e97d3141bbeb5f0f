-- Loads that every reader has taken in; a reader that has seen none starts afresh anyway.
DELETE FROM staging.loads
WHERE
    table_name = :table_name
    AND load_id < COALESCE(
        (SELECT MIN(load_id) FROM staging.loads_seen WHERE source_table = :table_name),
        load_id + 1
    )
