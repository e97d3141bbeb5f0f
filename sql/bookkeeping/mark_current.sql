UPDATE staging.table_versions
SET load_version = :load_version
WHERE table_name = :table_name
