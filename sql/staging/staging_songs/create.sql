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
SORTKEY (song_id)
