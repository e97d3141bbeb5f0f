DELETE FROM staging.loaded_files
WHERE table_name = :table_name
AND (:is_full OR file_name IN (SELECT file_name FROM replaced_files))
