-- One row per recent transaction. Where the answer to a COMMIT is lost, its row tells whether it
-- took effect. Filled by the Redshift engine; DuckDB's COMMIT has no wire to be lost on.
CREATE TABLE IF NOT EXISTS staging.commits (
    token VARCHAR(64) NOT NULL,      -- made up for this transaction
    run_id VARCHAR(64) NOT NULL,     -- the run it is part of
    committed_at TIMESTAMP NOT NULL  -- UTC; rows older than a week are removed
)
DISTSTYLE ALL
