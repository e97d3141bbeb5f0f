-- The files of one artist may disagree. The row is taken whole from one song: one that knows the
-- location before one that does not, then one that knows the coordinates, then the lowest song_id.
INSERT INTO analytics.artists (artist_id, name, location, latitude, longitude)
SELECT
    artist_id,
    artist_name,
    NULLIF(artist_location, ''),
    artist_latitude,
    artist_longitude
FROM (
    SELECT
        artist_id,
        artist_name,
        artist_location,
        artist_latitude,
        artist_longitude,
        ROW_NUMBER() OVER (
            PARTITION BY artist_id
            ORDER BY
                CASE WHEN COALESCE(artist_location, '') = '' THEN 1 ELSE 0 END,
                CASE WHEN artist_latitude IS NULL THEN 1 ELSE 0 END,
                song_id, source_file, artist_name, artist_location,
                artist_latitude, artist_longitude
        ) AS choice
    FROM staging.staging_songs
    WHERE
        artist_id IS NOT NULL
        AND (:is_full OR artist_id IN (SELECT artist_id FROM affected_artists))
) AS candidates
WHERE choice = 1
