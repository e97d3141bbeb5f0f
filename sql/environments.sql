-- Environments: the same tables once more, for trying a change. A table that the change does not
-- touch is a view on production's. Production's loads are counted here a million apiece, so that
-- the environment's own lie between them, and one counter tells what is behind what.

-- name: create
-- One row: the environment itself. Production has no such table.
CREATE TABLE staging.environment (
    created_at TIMESTAMP NOT NULL,  -- UTC
    first_day DATE                  -- of the event files that it loads; NULL: all
)
DISTSTYLE ALL;

-- name: describe
SELECT
    created_at,
    first_day
FROM staging.environment;

-- name: last_load
-- When something was last loaded.
SELECT MAX(loaded_at) AS loaded_at
FROM staging.ledger;

-- name: production
-- Production's ledger, as this environment counts. What changed in a table before is not known
-- here, so that all of it counts as new.
SELECT
    table_name,
    definition,
    version,
    load_id * 1000000 AS load_id,
    load_id * 1000000 AS full_load_id
FROM production.staging.ledger;

-- name: newest_day
-- Of the events that production has loaded.
SELECT MAX(file_day) AS newest_day
FROM production.staging.loaded_files
WHERE table_name = 'staging_events';

-- name: begin_slice
-- Let the next load read the events of some days, as if it were the first.
DELETE FROM staging.loaded_files
WHERE table_name = 'staging_events';

UPDATE staging.ledger
SET version = NULL
WHERE table_name = 'staging.staging_events';

-- name: follow
-- Take over what production says of tables that are views on its own.
DELETE FROM staging.ledger
WHERE table_name IN (:names);

INSERT INTO staging.ledger (
    table_name, definition, version, load_id, full_load_id, run_id, loaded_at, statements
)
SELECT
    table_name,
    definition,
    version,
    load_id * 1000000,
    load_id * 1000000,
    run_id,
    loaded_at,
    statements
FROM production.staging.ledger
WHERE table_name IN (:names);

DELETE FROM staging.loaded_files
WHERE 'staging.' || table_name IN (:names);

INSERT INTO staging.loaded_files (
    table_name, file_name, file_day, size_bytes, version, content_hash, line_count, row_count,
    run_id, loaded_at
)
SELECT
    table_name,
    file_name,
    file_day,
    size_bytes,
    version,
    content_hash,
    line_count,
    row_count,
    run_id,
    loaded_at
FROM production.staging.loaded_files
WHERE 'staging.' || table_name IN (:names);

DELETE FROM staging.lakes
WHERE 'staging.' || table_name IN (:names);

INSERT INTO staging.lakes (table_name, lake, is_sample)
SELECT
    table_name,
    lake,
    is_sample
FROM production.staging.lakes
WHERE 'staging.' || table_name IN (:names);

DELETE FROM staging.rejected_files
WHERE 'staging.' || table_name IN (:names);

INSERT INTO staging.rejected_files (
    table_name, file_name, file_day, size_bytes, version, max_errors, reason, run_id, rejected_at
)
SELECT
    table_name,
    file_name,
    file_day,
    size_bytes,
    version,
    max_errors,
    reason,
    run_id,
    rejected_at
FROM production.staging.rejected_files
WHERE 'staging.' || table_name IN (:names);

DELETE FROM staging.rejected_lines
WHERE 'staging.' || table_name IN (:names);

INSERT INTO staging.rejected_lines (
    table_name, file_name, line, column_name, reason, raw_text, run_id, rejected_at
)
SELECT
    table_name,
    file_name,
    line,
    column_name,
    reason,
    raw_text,
    run_id,
    rejected_at
FROM production.staging.rejected_lines
WHERE 'staging.' || table_name IN (:names);
