-- One row per weekday and hour with plays.
CREATE TABLE IF NOT EXISTS analytics.listening_hours (
    weekday INTEGER NOT NULL,   -- 0 is Sunday, 6 is Saturday, as in time
    hour INTEGER NOT NULL,      -- 0 to 23, UTC
    plays BIGINT NOT NULL,      -- plays that began in it, over all days
    paid_plays BIGINT NOT NULL  -- of these, by listeners on the paid level
)
DISTSTYLE ALL
SORTKEY (weekday, hour)
