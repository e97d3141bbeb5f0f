-- One row per user, day and stretch of events on one level: what level_changes is built from,
-- without reading all events again.
CREATE TABLE IF NOT EXISTS staging.user_levels (
    user_id VARCHAR(32) NOT NULL,   -- never empty
    event_day DATE NOT NULL,        -- UTC day of the events' time
    stretch INTEGER NOT NULL,       -- counts up within user and day
    started_at TIMESTAMP NOT NULL,  -- time of its first event, UTC
    level VARCHAR(16) NOT NULL      -- free or paid
)
DISTKEY (user_id)
SORTKEY (event_day)
