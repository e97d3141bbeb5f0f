-- What COPY fills: the file's fields in the order of log_json_path.json, and the file they are from.
CREATE TEMP TABLE landing_events (
    artist VARCHAR(256),
    auth VARCHAR(32),
    first_name VARCHAR(256),
    gender VARCHAR(16),
    item_in_session INTEGER NOT NULL,
    last_name VARCHAR(256),
    length DOUBLE PRECISION,
    level VARCHAR(16),
    location VARCHAR(512),
    method VARCHAR(16),
    page VARCHAR(64) NOT NULL,
    registration DOUBLE PRECISION,
    session_id BIGINT NOT NULL,
    song VARCHAR(256),
    status INTEGER,
    ts TIMESTAMP NOT NULL,
    user_agent VARCHAR(512),
    user_id VARCHAR(32),
    source_file VARCHAR(1024) DEFAULT :source_file
)
