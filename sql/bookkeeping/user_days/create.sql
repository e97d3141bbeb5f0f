-- One row per user and file day: the user's latest event of that day.
-- The summary that users is built from without reading all events again. Dealt out by user, whose
-- days are compared; sorted by day, as days are replaced.
CREATE TABLE IF NOT EXISTS staging.user_days (
    user_id VARCHAR(32) NOT NULL,      -- never empty
    file_day DATE NOT NULL,            -- the day in the event file's name
    ts TIMESTAMP NOT NULL,             -- time of the latest event, UTC
    session_id BIGINT NOT NULL,        -- with item_in_session, the event itself
    item_in_session INTEGER NOT NULL,  -- position of the event in its session
    first_name VARCHAR(256),           -- as the event has it
    last_name VARCHAR(256),            -- as the event has it
    gender VARCHAR(16),                -- as the event has it
    level VARCHAR(16)                  -- as the event has it
)
DISTKEY (user_id)
SORTKEY (file_day)
