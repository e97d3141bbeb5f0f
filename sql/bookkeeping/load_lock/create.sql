-- Locked by every writing transaction first, so that two runs take turns. Holds no rows.
CREATE TABLE IF NOT EXISTS staging.load_lock (
    locked_by VARCHAR(64)  -- never filled
)
DISTSTYLE ALL
