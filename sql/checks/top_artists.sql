SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    COALESCE(SUM(songs), 0) AS total_songs,
    (SELECT COUNT(*) FROM analytics.top_songs) AS top_songs_rows,
    (
        SELECT COUNT(*)
        FROM (
            SELECT artist_name
            FROM analytics.top_artists
            GROUP BY artist_name
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS duplicate_keys
FROM analytics.top_artists
