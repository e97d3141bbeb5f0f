-- One row per change of a user's level: an event on another level than the user's event before it.
CREATE TABLE IF NOT EXISTS analytics.level_changes (
    changed_at TIMESTAMP NOT NULL,           -- first event on the new level, UTC
    user_id VARCHAR(32) NOT NULL,            -- who changed; joins users
    from_level VARCHAR(16) NOT NULL,         -- free or paid, before
    to_level VARCHAR(16) NOT NULL,           -- free or paid, from then on
    change_number INTEGER NOT NULL,          -- counts the user's changes from 1
    first_seen_at TIMESTAMP NOT NULL,        -- the user's first event, UTC
    hours_since_first_seen INTEGER NOT NULL  -- full hours from there to the change: time to upgrade
)
DISTSTYLE ALL
SORTKEY (changed_at)
