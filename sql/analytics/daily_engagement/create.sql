-- One row per day with plays.
CREATE TABLE IF NOT EXISTS analytics.daily_engagement (
    day DATE NOT NULL,                            -- UTC day of the plays' start_time
    active_users BIGINT NOT NULL,                 -- users who played a song that day
    sessions BIGINT NOT NULL,                     -- sessions with a play that day
    plays BIGINT NOT NULL,                        -- songs played
    paid_plays BIGINT NOT NULL,                   -- of these, by listeners on the paid level
    free_plays BIGINT NOT NULL,                   -- of these, by listeners on the free level
    paid_users BIGINT NOT NULL,                   -- users with a play on the paid level that day
    weekly_active_users BIGINT NOT NULL,          -- users who played in the 7 days that end with it
    week_start DATE NOT NULL,                     -- the Monday of its week (ISO 8601)
    plays_per_session DOUBLE PRECISION NOT NULL,  -- to 2 decimals
    paid_share DOUBLE PRECISION NOT NULL          -- share of plays on the paid level, to 4 decimals
)
DISTSTYLE ALL
SORTKEY (day)
