DELETE FROM staging.table_versions
WHERE table_name = :table_name
