-- One row per month, listener, level and location of plays: what listener_demographics adds up
-- without reading all plays again.
CREATE TABLE IF NOT EXISTS staging.listener_months (
    play_month DATE NOT NULL,  -- first day of the month, UTC
    user_id VARCHAR(32),       -- the listener
    level VARCHAR(16),         -- free or paid, at the time of the plays
    location VARCHAR(512),     -- the listener's metropolitan area, at the time of the plays
    plays BIGINT NOT NULL      -- plays in the month
)
DISTKEY (user_id)
SORTKEY (play_month)
