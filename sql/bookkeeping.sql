-- What the platform remembers: which files are loaded, and which load each table is as of.
--
-- Writing transactions take turns, so one counter numbers the loads of the whole warehouse: a table
-- is behind if one of its sources has a higher load number than itself.

-- name: schema_staging
CREATE SCHEMA IF NOT EXISTS staging;

-- name: schema_analytics
CREATE SCHEMA IF NOT EXISTS analytics;

-- name: create_load_lock
-- Locked by every writing transaction first, so that two runs take turns. Holds no rows.
CREATE TABLE IF NOT EXISTS staging.load_lock (
    locked_by VARCHAR(64)  -- never filled
)
DISTSTYLE ALL;

-- name: create_commits
-- One row per recent transaction. Where the answer to a COMMIT is lost, its row tells whether it
-- took effect. Filled by the Redshift engine; DuckDB's COMMIT has no wire to be lost on.
CREATE TABLE IF NOT EXISTS staging.commits (
    token VARCHAR(64) NOT NULL,      -- made up for this transaction
    run_id VARCHAR(64) NOT NULL,     -- the run it is part of
    committed_at TIMESTAMP NOT NULL  -- UTC; rows older than a week are removed
)
DISTSTYLE ALL;

-- name: create_ledger
-- One row per table and view of the platform.
CREATE TABLE IF NOT EXISTS staging.ledger (
    table_name VARCHAR(128) NOT NULL,   -- schema.table
    definition VARCHAR(8000) NOT NULL,  -- names and types of its columns; of a view, its SQL's hash
    version VARCHAR(64),                -- hash of the SQL of its latest load; NULL before the first
    load_id BIGINT NOT NULL,            -- its latest load; 0 before the first
    full_load_id BIGINT NOT NULL,       -- its latest load that built it anew; 0 before the first
    run_id VARCHAR(64),                 -- the run of its latest load
    loaded_at TIMESTAMP,                -- when that was, UTC
    row_count BIGINT,                   -- rows that it left, those of the table's helpers included
    statements VARCHAR(65535)           -- the SQL of its latest load: a JSON array, for the plan
)
DISTSTYLE ALL;

-- name: create_load_changes
-- What a load changed, for the tables built from it. Each table fills the columns its readers need.
CREATE TABLE IF NOT EXISTS staging.load_changes (
    table_name VARCHAR(64) NOT NULL,  -- the table that changed
    load_id BIGINT NOT NULL,          -- the load in staging.ledger
    changed_day DATE,                 -- staging_events: file day; songplays: UTC day of start_time
    song_id VARCHAR(32),              -- staging_songs
    artist_id VARCHAR(32),            -- staging_songs
    title VARCHAR(256),               -- songs: with artist_name, the plays to match again
    artist_name VARCHAR(256)          -- songs
)
DISTSTYLE EVEN
SORTKEY (table_name, load_id);

-- name: create_loaded_files
-- One row per lake file whose rows are in a staging table: what an unchanged file is recognised by.
CREATE TABLE IF NOT EXISTS staging.loaded_files (
    table_name VARCHAR(64) NOT NULL,   -- staging_events or staging_songs
    file_name VARCHAR(1024) NOT NULL,  -- path below the lake's root
    file_day DATE,                     -- the day in an event file's name, NULL for songs
    size_bytes BIGINT NOT NULL,        -- as listed, before decompression
    version VARCHAR(128) NOT NULL,     -- ETag on S3, modification time in nanoseconds in a folder
    content_hash VARCHAR(64),          -- XXH3-128 of the content, where the loader read it itself
    line_count BIGINT,                 -- objects the loader counted in it, NULL where it did not
    row_count BIGINT NOT NULL,         -- rows the file gave
    run_id VARCHAR(64) NOT NULL,       -- the run that loaded it
    loaded_at TIMESTAMP NOT NULL       -- UTC
)
DISTSTYLE EVEN
SORTKEY (table_name, file_name);

-- name: create_lakes
-- One row per staging table: the lake that its rows are from. Another one is refused.
CREATE TABLE IF NOT EXISTS staging.lakes (
    table_name VARCHAR(64) NOT NULL,  -- staging_events or staging_songs
    lake VARCHAR(4096) NOT NULL,      -- a folder's full path, or s3://bucket/prefix
    is_sample BOOLEAN NOT NULL        -- whether it says of itself that it is sample data
)
DISTSTYLE ALL;

-- name: create_rejected_files
-- One row per file of the lake that was left out, as SPARKIFY_BAD_FILES=skip allows.
CREATE TABLE IF NOT EXISTS staging.rejected_files (
    table_name VARCHAR(64) NOT NULL,   -- staging_events or staging_songs
    file_name VARCHAR(1024) NOT NULL,  -- path below the lake's root
    file_day DATE,                     -- the day in an event file's name, NULL for songs
    size_bytes BIGINT NOT NULL,        -- as listed, before decompression
    version VARCHAR(128) NOT NULL,     -- ETag on S3, modification time in nanoseconds in a folder
    max_errors BIGINT NOT NULL,        -- SPARKIFY_COPY_MAX_ERRORS, which it exceeded
    reason VARCHAR(8192) NOT NULL,     -- its first bad lines with what is wrong with them
    run_id VARCHAR(64) NOT NULL,       -- the run that left it out
    rejected_at TIMESTAMP NOT NULL     -- UTC
)
DISTSTYLE ALL;

-- name: create_rejected_lines
-- The bad lines that are in no staging table: those that SPARKIFY_COPY_MAX_ERRORS let pass, and the
-- first ones of each rejected file. A line may be bad in several ways, and so have several rows.
CREATE TABLE IF NOT EXISTS staging.rejected_lines (
    table_name VARCHAR(64) NOT NULL,   -- staging_events or staging_songs
    file_name VARCHAR(1024) NOT NULL,  -- path below the lake's root
    line BIGINT NOT NULL,              -- from 1; 0 where the file as a whole is bad
    column_name VARCHAR(128),          -- empty where the object as a whole is malformed
    reason VARCHAR(1024) NOT NULL,     -- what is wrong
    raw_text VARCHAR(4096),            -- the line, cut off there; NULL where it cannot be read
    run_id VARCHAR(64) NOT NULL,       -- the run that left it out
    rejected_at TIMESTAMP NOT NULL     -- UTC
)
DISTSTYLE EVEN;

-- name: relations
-- The tables and views that are really there, and the ledger's columns.
SELECT
    table_schema,
    table_name,
    table_type
FROM information_schema.tables
WHERE
    table_schema IN (:schemas)
    AND table_catalog = COALESCE(:catalog, CAST(CURRENT_DATABASE() AS VARCHAR(128)))
UNION ALL
SELECT
    table_schema,
    table_name || '.' || column_name,
    data_type
FROM information_schema.columns
WHERE
    table_schema IN (:schemas)
    AND table_name = 'ledger'
    AND table_catalog = COALESCE(:catalog, CAST(CURRENT_DATABASE() AS VARCHAR(128)));

-- name: ledger
-- A row for each load whose changes are remembered, one for a table without any.
SELECT
    ledger.table_name,
    ledger.definition,
    ledger.version,
    ledger.load_id,
    ledger.full_load_id,
    ledger.row_count,
    changes.load_id AS changed_by,
    changes.first_day,
    changes.last_day
FROM staging.ledger AS ledger
LEFT JOIN (
    SELECT
        table_name,
        load_id,
        MIN(changed_day) AS first_day,
        MAX(changed_day) AS last_day
    FROM staging.load_changes
    GROUP BY table_name, load_id
) AS changes
    ON SPLIT_PART(ledger.table_name, '.', 2) = changes.table_name;

-- name: statements
SELECT
    table_name,
    statements
FROM staging.ledger
WHERE statements IS NOT NULL;

-- name: move_statements
-- Older versions kept them in a table of their own.
UPDATE staging.ledger
SET statements = former.statements
FROM staging.statements AS former
WHERE ledger.table_name = former.table_name;

DROP TABLE staging.statements;

-- name: former_versions
-- The ledger's predecessor: what an older version of the platform had created.
SELECT
    table_name,
    column_list
FROM staging.table_versions;

-- name: number_on
-- After reset_warehouse the next load has the next number, as if nothing had been dropped.
UPDATE staging.ledger SET load_id = :last_load_id, full_load_id = :last_load_id;

-- name: forget_tables
DELETE FROM staging.ledger
WHERE table_name IN (:table_names);

-- name: record_load
UPDATE staging.ledger
SET
    version = :version,
    load_id = :load_id,
    full_load_id = :full_load_id,
    run_id = :run_id,
    loaded_at = CAST(:loaded_at AS TIMESTAMP),
    row_count = :row_count,
    statements = COALESCE(:statements, statements)
WHERE table_name = :table_name;

-- name: forget_changes
-- Changes that every table built from this one has taken in; the latest load's stay for the checks.
DELETE FROM staging.load_changes
WHERE table_name = :table_name AND load_id <= :taken_in;

-- name: noted_changes
SELECT DISTINCT
    table_name,
    load_id,
    changed_day
FROM staging.load_changes;

-- name: pending
-- What changed in a table's sources since its latest load. A load from the beginning fills it by
-- what the sources call all_changes.
CREATE TEMP TABLE pending AS
SELECT DISTINCT
    table_name AS source_table,
    changed_day,
    song_id,
    artist_id,
    title,
    artist_name
FROM staging.load_changes
WHERE table_name IN (:sources) AND load_id > :load_id;

-- name: known_files
SELECT
    file_name,
    size_bytes,
    version,
    content_hash,
    file_day,
    row_count
FROM staging.loaded_files
WHERE table_name = :table_name;

-- name: known_total
-- The same files as one number, whatever their order, and with them those that were left out as
-- they were then: lake/changes.py makes the same of a listing. 18 digits each, of an MD5.
SELECT
    COUNT(*) AS file_count,
    SUM(
        CAST(
            TRANSLATE(
                SUBSTRING(
                    MD5(file_name || '/' || CAST(size_bytes AS VARCHAR(20)) || '/' || version),
                    1, 18
                ),
                'abcdef',
                '012345'
            ) AS BIGINT
        )
    ) AS checksum
FROM (
    SELECT
        file_name,
        size_bytes,
        version
    FROM staging.rejected_files
    WHERE table_name = :table_name
    UNION ALL
    SELECT
        loaded.file_name,
        loaded.size_bytes,
        loaded.version
    FROM staging.loaded_files AS loaded
    LEFT JOIN staging.rejected_files AS rejected
        ON loaded.table_name = rejected.table_name
        AND loaded.file_name = rejected.file_name
    WHERE loaded.table_name = :table_name AND rejected.file_name IS NULL
) AS files;

-- name: rejects
-- The files that were rejected; and without a reason, those of which lines were left out.
SELECT
    table_name,
    file_name,
    reason,
    size_bytes,
    version,
    max_errors
FROM staging.rejected_files
UNION ALL
SELECT DISTINCT
    lines.table_name,
    lines.file_name,
    CAST(NULL AS VARCHAR(8192)),
    CAST(NULL AS BIGINT),
    CAST(NULL AS VARCHAR(128)),
    CAST(NULL AS BIGINT)
FROM staging.rejected_lines AS lines
LEFT JOIN staging.rejected_files AS files
    ON lines.table_name = files.table_name
    AND lines.file_name = files.file_name
WHERE files.file_name IS NULL;

-- name: forget_rejected_files
DELETE FROM staging.rejected_files
WHERE table_name = :table_name AND file_name IN (:file_names);

-- name: forget_rejected_lines
DELETE FROM staging.rejected_lines
WHERE table_name = :table_name AND file_name IN (:file_names);

-- name: lakes
SELECT
    table_name,
    lake,
    is_sample
FROM staging.lakes;

-- name: forget_lake
DELETE FROM staging.lakes
WHERE table_name = :table_name;

-- name: files_of_load
-- The files that a load reads, as the lake lists them; and those whose former rows it takes out:
-- changed, removed, or of a day that is read again.
CREATE TEMP TABLE new_files (
    file_name VARCHAR(1024) NOT NULL,
    file_day DATE,
    size_bytes BIGINT NOT NULL,
    version VARCHAR(128) NOT NULL,
    content_hash VARCHAR(64),
    line_count BIGINT
);

CREATE TEMP TABLE replaced_files (
    file_name VARCHAR(1024) NOT NULL,
    file_day DATE
);

-- name: forget_files
DELETE FROM staging.loaded_files
WHERE table_name = :table_name AND file_name IN (SELECT file_name FROM replaced_files);

-- name: forget_all_files
DELETE FROM staging.loaded_files
WHERE table_name = :table_name;

-- name: touch_file
UPDATE staging.loaded_files
SET version = :version
WHERE table_name = :table_name AND file_name = :file_name;

-- name: rows_of_load
-- What the files that a load read gave.
SELECT
    file_name,
    row_count
FROM staging.loaded_files
WHERE table_name = :table_name AND file_name IN (SELECT file_name FROM new_files);
