UPDATE staging.loaded_files
SET version = :version
WHERE table_name = :table_name AND file_name = :file_name
