-- One row per month and song played: what top_songs adds up without reading all plays again.
CREATE TABLE IF NOT EXISTS staging.song_months (
    play_month DATE NOT NULL,            -- first day of the month, UTC
    title VARCHAR(256),                  -- song title, as logged
    artist_name VARCHAR(256),            -- artist, as logged
    plays BIGINT NOT NULL,               -- plays in the month
    paid_plays BIGINT NOT NULL,          -- of these, by listeners on the paid level
    matched_plays BIGINT NOT NULL,       -- of these, with a song of the catalogue
    first_played_at TIMESTAMP NOT NULL,  -- first play of the month, UTC
    last_played_at TIMESTAMP NOT NULL    -- last play of the month, UTC
)
DISTSTYLE EVEN
SORTKEY (play_month)
