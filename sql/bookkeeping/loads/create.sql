-- One row per transaction that changed a table others are built from.
CREATE TABLE IF NOT EXISTS staging.loads (
    table_name VARCHAR(64) NOT NULL,  -- the table that changed
    load_id BIGINT NOT NULL,          -- counts up within the table
    is_full BOOLEAN NOT NULL,         -- the whole table was replaced: readers start afresh
    run_id VARCHAR(64) NOT NULL,      -- the run that did it
    loaded_at TIMESTAMP NOT NULL      -- UTC
)
DISTSTYLE ALL
