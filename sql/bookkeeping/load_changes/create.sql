-- What a load changed, for the tables built from it. Each table fills the columns its readers need.
CREATE TABLE IF NOT EXISTS staging.load_changes (
    table_name VARCHAR(64) NOT NULL,  -- the table that changed
    load_id BIGINT NOT NULL,          -- the load in staging.loads
    changed_day DATE,                 -- staging_events: file day; songplays: UTC day of start_time
    song_id VARCHAR(32),              -- staging_songs
    artist_id VARCHAR(32),            -- staging_songs
    title VARCHAR(256),               -- songs: with artist_name, the plays to match again
    artist_name VARCHAR(256)          -- songs
)
DISTSTYLE EVEN
SORTKEY (table_name, load_id)
