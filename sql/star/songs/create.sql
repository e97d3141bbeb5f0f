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
SORTKEY (song_id)
