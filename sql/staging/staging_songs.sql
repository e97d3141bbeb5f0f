-- name: create
-- One row per song object of the song files, nothing filtered.
-- Dealt out and sorted by song, by which several rows of one are compared.
CREATE TABLE IF NOT EXISTS staging.staging_songs (
    artist_id VARCHAR(32),              -- the artist; files of one artist may disagree on the rest
    artist_latitude DOUBLE PRECISION,   -- degrees north; NULL where unknown
    artist_longitude DOUBLE PRECISION,  -- degrees east; NULL where unknown
    artist_location VARCHAR(512),       -- free text, often empty
    artist_name VARCHAR(256),           -- as this song credits the artist
    duration DOUBLE PRECISION,          -- seconds
    num_songs INTEGER,                  -- always 1
    song_id VARCHAR(32) NOT NULL,       -- the song
    title VARCHAR(256),                 -- title of the song
    year INTEGER,                       -- of release; 0 where unknown
    source_file VARCHAR(1024) NOT NULL  -- path of the file below the lake's root
)
DISTKEY (song_id)
SORTKEY (song_id);



-- name: changes
-- The songs and artists whose rows differ after this load.
INSERT INTO staging.load_changes (table_name, load_id, song_id, artist_id)
SELECT DISTINCT
    CAST('staging_songs' AS VARCHAR(64)),
    :load_id,
    song_id,
    artist_id
FROM staging.current_songs
WHERE
    source_file IN (SELECT file_name FROM replaced_files)
    OR source_file IN (SELECT file_name FROM new_files);



-- name: all_changes
INSERT INTO pending (source_table, song_id, artist_id)
SELECT DISTINCT
    CAST('staging_songs' AS VARCHAR(64)),
    song_id,
    artist_id
FROM staging.current_songs;



-- name: remove
DELETE FROM staging.staging_songs
WHERE source_file IN (SELECT file_name FROM replaced_files);



-- name: landing
-- What COPY fills: the keys of the song objects; source_file is added when files are combined.
CREATE TEMP TABLE landing_songs (
    artist_id VARCHAR(32),
    artist_latitude DOUBLE PRECISION,
    artist_longitude DOUBLE PRECISION,
    artist_location VARCHAR(512),
    artist_name VARCHAR(256),
    duration DOUBLE PRECISION,
    num_songs INTEGER,
    song_id VARCHAR(32) NOT NULL,
    title VARCHAR(256),
    year INTEGER,
    source_file VARCHAR(1024) NOT NULL
);



-- name: copy
COPY landing_songs (
    artist_id, artist_latitude, artist_longitude, artist_location, artist_name,
    duration, num_songs, song_id, title, year, source_file
)
FROM :manifest
IAM_ROLE :iam_role
FORMAT AS JSON 'auto'
MANIFEST
COMPUPDATE OFF
STATUPDATE OFF
MAXERROR :max_errors;



-- name: insert
INSERT INTO staging.staging_songs (
    artist_id, artist_latitude, artist_longitude, artist_location, artist_name,
    duration, num_songs, song_id, title, year, source_file
)
SELECT
    artist_id,
    artist_latitude,
    artist_longitude,
    artist_location,
    artist_name,
    duration,
    num_songs,
    song_id,
    title,
    year,
    source_file
FROM landing_songs;



-- name: remember_files
INSERT INTO staging.loaded_files (
    table_name, file_name, size_bytes, version, content_hash, line_count, row_count,
    run_id, loaded_at
)
SELECT
    'staging_songs',
    new_files.file_name,
    new_files.size_bytes,
    new_files.version,
    new_files.content_hash,
    new_files.line_count,
    COALESCE(counted.row_count, 0),
    :run_id,
    CAST(:loaded_at AS TIMESTAMP)
FROM new_files
LEFT JOIN (
    SELECT
        source_file,
        COUNT(*) AS row_count
    FROM staging.staging_songs
    GROUP BY source_file
) AS counted
    ON new_files.file_name = counted.source_file;



-- name: check
SELECT
    -- blocking: At least one row, and as many rows as the song files hold objects.
    COUNT(*) AS row_count,
    (
        SELECT GREATEST(COALESCE(SUM(COALESCE(line_count, row_count)), 0), :least_rows)
        FROM staging.loaded_files
        WHERE table_name = 'staging_songs'
    ) AS row_count_expected,
    -- warning: Every song_id is in the files once; of several the first file's row counts.
    COUNT(*) - COUNT(DISTINCT song_id) AS song_once
FROM staging.current_songs;



-- name: check_song_once
SELECT
    song_id,
    COUNT(*) AS copies
FROM staging.current_songs
GROUP BY song_id
HAVING COUNT(*) > 1
ORDER BY song_id
LIMIT 10;
