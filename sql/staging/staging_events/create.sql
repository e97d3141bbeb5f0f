-- One row per line of the event files, nothing filtered.
-- Dealt out by session, as repeated events are told by it; sorted by day, as days are replaced.
CREATE TABLE IF NOT EXISTS staging.staging_events (
    artist VARCHAR(256),               -- artist of the song played, as logged; only on NextSong
    auth VARCHAR(32),                  -- Logged In or Logged Out
    first_name VARCHAR(256),           -- of the user; NULL when logged out
    gender VARCHAR(16),                -- F or M; NULL when logged out
    item_in_session INTEGER NOT NULL,  -- position of the event in its session, from 0
    last_name VARCHAR(256),            -- of the user; NULL when logged out
    length DOUBLE PRECISION,           -- seconds of the song played; only on NextSong
    level VARCHAR(16),                 -- free or paid
    location VARCHAR(512),             -- the user's metropolitan area
    method VARCHAR(16),                -- HTTP method
    page VARCHAR(64) NOT NULL,         -- page visited; NextSong is a play
    registration DOUBLE PRECISION,     -- when the user registered, milliseconds since 1970 UTC
    session_id BIGINT NOT NULL,        -- session of the event
    song VARCHAR(256),                 -- title of the song played, as logged; only on NextSong
    status INTEGER,                    -- HTTP status
    ts TIMESTAMP NOT NULL,             -- time of the event, UTC, to the millisecond
    user_agent VARCHAR(512),           -- browser, as logged
    user_id VARCHAR(32),               -- empty text when logged out
    file_day DATE NOT NULL             -- the day in the file's name, UTC: the partition
)
DISTKEY (session_id)
SORTKEY (file_day)
