SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    COALESCE(SUM(matched_plays), 0) AS total_matched_plays,
    (SELECT COUNT(song_id) FROM analytics.songplays) AS songplays_matched,
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                title,
                artist_name
            FROM analytics.top_songs
            GROUP BY title, artist_name
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS duplicate_keys
FROM analytics.top_songs
