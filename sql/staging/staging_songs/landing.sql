-- What COPY fills: the keys of the song objects; source_file is added when small files are combined.
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
)
