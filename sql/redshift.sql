-- What the platform asks of Redshift alone: its system views, and whether a COMMIT took effect.

-- name: costs
-- What the statements of a run's changes took, in microseconds, what they gave back, and what they
-- read from tables.
SELECT
    TRIM(query_label) AS query_label,
    SUM(queries) AS queries,
    SUM(elapsed_time) AS elapsed_time,
    SUM(queue_time) AS queue_time,
    SUM(execution_time) AS execution_time,
    SUM(returned_rows) AS returned_rows,
    SUM(returned_bytes) AS returned_bytes,
    SUM(scanned_rows) AS scanned_rows,
    SUM(scanned_bytes) AS scanned_bytes
FROM (
    SELECT
        query_label,
        start_time,
        1 AS queries,
        elapsed_time,
        queue_time,
        execution_time,
        returned_rows,
        returned_bytes,
        0 AS scanned_rows,
        0 AS scanned_bytes
    FROM sys_query_history
    UNION ALL
    SELECT
        queries.query_label,
        queries.start_time,
        0,
        0,
        0,
        0,
        0,
        0,
        steps.output_rows,
        steps.output_bytes
    FROM sys_query_detail AS steps
    INNER JOIN sys_query_history AS queries
        ON steps.query_id = queries.query_id
    WHERE TRIM(steps.step_name) = 'scan'
) AS costs
WHERE
    start_time >= CAST(:since AS TIMESTAMP)
    AND SPLIT_PART(query_label, '/', 1) = :run_id
    AND SPLIT_PART(query_label, '/', 2) <> ''
GROUP BY TRIM(query_label);

-- name: copy_rows
-- Rows that this host wrote to S3, an object each: too many for a statement's parameters.
COPY :relation (:columns)
FROM :rows
IAM_ROLE :iam_role
FORMAT AS JSON 'auto'
REGION :region
GZIP
TIMEFORMAT 'auto'
COMPUPDATE OFF
STATUPDATE OFF;

-- name: find_commit
SELECT COUNT(*) AS found
FROM staging.commits
WHERE token = :token;

-- name: forget_commits
DELETE FROM staging.commits
WHERE committed_at < CAST(:before AS TIMESTAMP);

-- name: last_copy
SELECT
    PG_LAST_COPY_ID() AS query_id,
    PG_LAST_COPY_COUNT() AS row_count;

-- name: load_errors
-- The lines that one COPY refused, by query_id, or all COPYs of a session, by session_id.
-- Provisioned
-- clusters and Serverless have this view; users see their own rows.
SELECT DISTINCT
    TRIM(file_name) AS file_name,
    line_number,
    TRIM(column_name) AS column_name,
    TRIM(error_message) AS reason,
    CAST('' AS VARCHAR(1)) AS value
FROM sys_load_error_detail
WHERE :key_column = :key_value AND start_time >= CAST(:since AS TIMESTAMP)
ORDER BY file_name, line_number, column_name;

-- name: load_errors_provisioned
-- The same from the older table, which provisioned clusters have; its columns are query and
-- session.
SELECT DISTINCT
    TRIM(filename) AS file_name,
    line_number,
    TRIM(colname) AS column_name,
    TRIM(err_reason) AS reason,
    TRIM(raw_field_value) AS value
FROM stl_load_errors
WHERE :key_column = :key_value AND starttime >= CAST(:since AS TIMESTAMP)
ORDER BY file_name, line_number, column_name;

-- name: remember_commit
-- Each is put after all before it, whatever the clocks say, so that the latest is known: nothing is
-- put down where that is not the one that this transaction took for the latest.
INSERT INTO staging.commits (token, run_id, committed_at)
SELECT
    CAST(:token AS VARCHAR(64)),
    CAST(:run_id AS VARCHAR(64)),
    GREATEST(CAST(:committed_at AS TIMESTAMP), DATEADD(MICROSECOND, 1, MAX(committed_at)))
FROM staging.commits
HAVING
    CAST(:last AS VARCHAR(64)) = ''
    OR MAX(CASE WHEN token = :last THEN committed_at END) = MAX(committed_at);

-- name: schemas
-- Which of the platform's schemas exist, in the order in which tables are searched for.
SELECT nspname AS schema_name
FROM pg_namespace
WHERE nspname IN (:schemas)
ORDER BY nspname;

-- name: environments
-- Told by a table that no other schema of such a name has.
SELECT SUBSTRING(table_schema, 9) AS name
FROM information_schema.tables
WHERE table_name = 'environment' AND SUBSTRING(table_schema, 1, 8) = 'staging_'
ORDER BY table_schema;

-- name: session
-- The session's own number and the server's clock, by which its rows in the system views are found.
SELECT
    PG_BACKEND_PID() AS session_id,
    GETDATE() AS started_at;
