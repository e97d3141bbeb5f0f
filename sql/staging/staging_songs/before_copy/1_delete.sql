DELETE FROM staging.staging_songs
WHERE :is_full OR source_file IN (SELECT file_name FROM replaced_files)
