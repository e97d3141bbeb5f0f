SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(DISTINCT artist_id) FROM staging.staging_songs) AS expected_row_count,
    COUNT(artist_id) - COUNT(DISTINCT artist_id) AS duplicate_keys,
    COUNT(*) - COUNT(artist_id) AS null_keys
FROM analytics.artists
