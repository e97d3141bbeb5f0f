-- Where two files carry the same song, the file whose name comes first gives the row.
INSERT INTO analytics.songs (song_id, title, artist_id, year, duration, artist_name)
SELECT
    song_id,
    title,
    artist_id,
    NULLIF(year, 0),
    duration,
    artist_name
FROM (
    SELECT
        song_id,
        title,
        artist_id,
        year,
        duration,
        artist_name,
        ROW_NUMBER() OVER (
            PARTITION BY song_id
            ORDER BY source_file, title, artist_id, year, duration, artist_name
        ) AS choice
    FROM staging.staging_songs
    WHERE :is_full OR song_id IN (SELECT song_id FROM affected_songs)
) AS candidates
WHERE choice = 1
