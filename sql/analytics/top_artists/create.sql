-- One row per artist played, told apart by the name as logged.
CREATE TABLE IF NOT EXISTS analytics.top_artists (
    artist_name VARCHAR(256),            -- artist, as logged
    plays BIGINT NOT NULL,               -- how often the artist was played
    paid_plays BIGINT NOT NULL,          -- of these, by listeners on the paid level
    matched_plays BIGINT NOT NULL,       -- of these, with a song of the catalogue
    songs BIGINT NOT NULL,               -- how many titles of the artist were played
    top_title VARCHAR(256),              -- the title played most; of several, the first by name
    first_played_at TIMESTAMP NOT NULL,  -- start of the first play, UTC
    last_played_at TIMESTAMP NOT NULL    -- start of the last play, UTC
)
DISTSTYLE ALL
SORTKEY (plays)
