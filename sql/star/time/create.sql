-- One row per distinct start_time of songplays.
-- Dealt out and sorted like songplays, by the column the two are joined on.
CREATE TABLE IF NOT EXISTS analytics.time (
    start_time TIMESTAMP NOT NULL,  -- the moment, UTC, to the millisecond
    hour INTEGER NOT NULL,          -- 0 to 23
    day INTEGER NOT NULL,           -- of the month, 1 to 31
    week INTEGER NOT NULL,          -- ISO 8601 week, 1 to 53
    month INTEGER NOT NULL,         -- 1 to 12
    year INTEGER NOT NULL,          -- calendar year
    weekday INTEGER NOT NULL        -- 0 is Sunday, 6 is Saturday
)
DISTKEY (start_time)
SORTKEY (start_time)
