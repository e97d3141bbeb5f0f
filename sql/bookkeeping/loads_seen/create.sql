-- How far a table has taken in the changes of each table it is built from.
CREATE TABLE IF NOT EXISTS staging.loads_seen (
    table_name VARCHAR(64) NOT NULL,    -- the reader
    source_table VARCHAR(64) NOT NULL,  -- the table it reads
    load_id BIGINT NOT NULL             -- the last load it has taken in
)
DISTSTYLE ALL
