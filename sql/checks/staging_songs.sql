SELECT
    COUNT(*) AS row_count,
    (
        SELECT COALESCE(SUM(COALESCE(line_count, row_count)), 0)
        FROM staging.loaded_files
        WHERE table_name = 'staging_songs'
    ) AS expected_row_count,
    COUNT(*) - COUNT(DISTINCT song_id) AS repeated_songs
FROM staging.staging_songs
