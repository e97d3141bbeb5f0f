-- One row per song played, told apart by title and artist as logged.
CREATE TABLE IF NOT EXISTS analytics.top_songs (
    title VARCHAR(256),                  -- song title, as logged
    artist_name VARCHAR(256),            -- artist, as logged
    plays BIGINT NOT NULL,               -- how often it was played
    paid_plays BIGINT NOT NULL,          -- of these, by listeners on the paid level
    matched_plays BIGINT NOT NULL,       -- of these, with a song of the catalogue
    first_played_at TIMESTAMP NOT NULL,  -- start of the first play, UTC
    last_played_at TIMESTAMP NOT NULL    -- start of the last play, UTC
)
DISTSTYLE ALL
SORTKEY (plays)
