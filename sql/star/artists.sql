-- name: create
-- One row per artist of the catalogue.
-- Small and joined by everything, so every node keeps a copy.
CREATE TABLE IF NOT EXISTS analytics.artists (
    artist_id VARCHAR(32) NOT NULL,  -- the artist
    name VARCHAR(256),               -- name
    location VARCHAR(512),           -- free text; NULL where unknown
    latitude DOUBLE PRECISION,       -- degrees north; NULL where unknown
    longitude DOUBLE PRECISION       -- degrees east; NULL where unknown
)
DISTSTYLE ALL
SORTKEY (artist_id);



-- name: load
DELETE FROM analytics.artists
WHERE artist_id IN (SELECT artist_id FROM pending);

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
    FROM staging.current_songs
    WHERE artist_id IN (SELECT artist_id FROM pending)
) AS candidates
WHERE choice = 1;



-- name: check
SELECT
    -- blocking: At least one row, and as many rows as staging_songs has distinct artist ids.
    COUNT(*) AS row_count,
    (SELECT GREATEST(COUNT(DISTINCT artist_id), :least_rows) FROM staging.current_songs)
        AS row_count_expected,
    -- blocking: No two rows with the same artist_id.
    COUNT(artist_id) - COUNT(DISTINCT artist_id) AS unique_key,
    -- blocking: Every row has its artist_id.
    COUNT(*) - COUNT(artist_id) AS key_not_null
FROM analytics.artists;
