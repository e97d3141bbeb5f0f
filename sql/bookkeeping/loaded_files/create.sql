-- One row per lake file whose rows are in a staging table: what an unchanged file is recognised by.
CREATE TABLE IF NOT EXISTS staging.loaded_files (
    table_name VARCHAR(64) NOT NULL,    -- staging_events or staging_songs
    file_name VARCHAR(1024) NOT NULL,   -- path below the lake's root
    file_day DATE,                      -- the day in an event file's name, NULL for songs
    size_bytes BIGINT NOT NULL,         -- as listed, before decompression
    version VARCHAR(128) NOT NULL,      -- ETag on S3, modification time in nanoseconds in a folder
    content_hash VARCHAR(64),           -- XXH3-128 of the content, where the loader read it itself
    line_count BIGINT,                  -- objects the loader counted in the file, NULL where it did not
    row_count BIGINT NOT NULL,          -- rows the file gave
    run_id VARCHAR(64) NOT NULL,        -- the run that loaded it
    loaded_at TIMESTAMP NOT NULL        -- UTC
)
DISTSTYLE EVEN
SORTKEY (table_name, file_name)
