SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(DISTINCT song_id) FROM staging.staging_songs) AS expected_row_count,
    COUNT(song_id) - COUNT(DISTINCT song_id) AS duplicate_keys,
    COUNT(*) - COUNT(song_id) AS null_keys
FROM analytics.songs
