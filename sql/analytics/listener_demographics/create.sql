-- One row per gender, level and location that plays came from.
CREATE TABLE IF NOT EXISTS analytics.listener_demographics (
    gender VARCHAR(16),                           -- F or M, as in users; NULL where unknown
    level VARCHAR(16),                            -- free or paid, at the time of the plays
    location VARCHAR(512),                        -- metropolitan area, at the time of the plays
    listeners BIGINT NOT NULL,                    -- users; one who changes level counts in both
    plays BIGINT NOT NULL,                        -- songs they played
    plays_per_listener DOUBLE PRECISION NOT NULL  -- to 2 decimals; 0 without a known listener
)
DISTSTYLE ALL
SORTKEY (location)
