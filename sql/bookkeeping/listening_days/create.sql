-- One row per day and hour with plays: what listening_hours adds up without reading all plays.
CREATE TABLE IF NOT EXISTS staging.listening_days (
    play_day DATE NOT NULL,     -- UTC day
    hour INTEGER NOT NULL,      -- 0 to 23, UTC
    plays BIGINT NOT NULL,      -- plays that began in it
    paid_plays BIGINT NOT NULL  -- of these, by listeners on the paid level
)
DISTSTYLE EVEN
SORTKEY (play_day)
