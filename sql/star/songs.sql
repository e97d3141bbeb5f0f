-- name: create
-- One row per song of the catalogue.
-- Small and joined by everything, so every node keeps a copy.
CREATE TABLE IF NOT EXISTS analytics.songs (
    song_id VARCHAR(32) NOT NULL,  -- the song
    title VARCHAR(256),            -- title
    artist_id VARCHAR(32),         -- the artist; joins artists
    year INTEGER,                  -- of release; NULL where unknown
    duration DOUBLE PRECISION,     -- seconds
    artist_name VARCHAR(256)       -- as this song credits the artist; plays are matched on it
)
DISTSTYLE ALL
SORTKEY (song_id);



-- name: changes
-- Title and artist of the songs that differ after this load: plays of them are matched again.
INSERT INTO staging.load_changes (table_name, load_id, title, artist_name)
SELECT DISTINCT
    CAST('songs' AS VARCHAR(64)),
    :load_id,
    title,
    artist_name
FROM analytics.songs
WHERE song_id IN (SELECT song_id FROM pending);



-- name: load
DELETE FROM analytics.songs
WHERE song_id IN (SELECT song_id FROM pending);

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
    FROM staging.current_songs
    WHERE song_id IN (SELECT song_id FROM pending)
) AS candidates
WHERE choice = 1;

-- The plays are matched on this table next, and the plan has to know how small it is.
ANALYZE analytics.songs PREDICATE COLUMNS;



-- name: check
SELECT
    -- blocking: At least one row, and as many rows as staging_songs has distinct song ids.
    COUNT(*) AS row_count,
    (SELECT GREATEST(COUNT(DISTINCT song_id), :least_rows) FROM staging.current_songs)
        AS row_count_expected,
    -- blocking: No two rows with the same song_id.
    COUNT(song_id) - COUNT(DISTINCT song_id) AS unique_key,
    -- blocking: Every row has its song_id.
    COUNT(*) - COUNT(song_id) AS key_not_null
FROM analytics.songs;
