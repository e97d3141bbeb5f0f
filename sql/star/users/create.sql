-- One row per user who appears in any event, as of the user's latest event.
-- Small and joined by everything, so every node keeps a copy.
CREATE TABLE IF NOT EXISTS analytics.users (
    user_id VARCHAR(32) NOT NULL,  -- the user
    first_name VARCHAR(256),       -- given name
    last_name VARCHAR(256),        -- family name
    gender VARCHAR(16),            -- F or M
    level VARCHAR(16)              -- free or paid, at the latest event
)
DISTSTYLE ALL
SORTKEY (user_id)
