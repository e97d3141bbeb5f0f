-- What the platform asks of Redshift alone: its system views, and whether a COMMIT took effect.

-- name: find_commit
SELECT COUNT(*) AS found
FROM staging.commits
WHERE token = :token;

-- name: forget_commits
DELETE FROM staging.commits
WHERE committed_at < CAST(:before AS TIMESTAMP);

-- name: last_copy
SELECT PG_LAST_COPY_COUNT() AS row_count;

-- name: load_errors
-- The lines that COPY refused in one session. Provisioned clusters and Serverless have this view;
-- users see their own rows.
SELECT DISTINCT
    TRIM(file_name) AS file_name,
    line_number,
    TRIM(column_name) AS column_name,
    TRIM(error_message) AS reason,
    CAST('' AS VARCHAR(1)) AS value
FROM sys_load_error_detail
WHERE session_id = :session_id AND start_time >= CAST(:since AS TIMESTAMP)
ORDER BY file_name, line_number, column_name;

-- name: load_errors_provisioned
-- The same from the older table, which provisioned clusters have.
SELECT DISTINCT
    TRIM(filename) AS file_name,
    line_number,
    TRIM(colname) AS column_name,
    TRIM(err_reason) AS reason,
    TRIM(raw_field_value) AS value
FROM stl_load_errors
WHERE session = :session_id AND starttime >= CAST(:since AS TIMESTAMP)
ORDER BY file_name, line_number, column_name;

-- name: remember_commit
INSERT INTO staging.commits (token, run_id, committed_at)
VALUES (:token, :run_id, CAST(:committed_at AS TIMESTAMP));

-- name: session
-- The session's own number and the server's clock, by which its rows in the system views are found.
SELECT
    PG_BACKEND_PID() AS session_id,
    GETDATE() AS started_at;

-- name: session_costs
-- What the statements of one session took, in microseconds, and what they gave back.
SELECT
    COUNT(*) AS queries,
    SUM(elapsed_time) AS elapsed_time,
    SUM(queue_time) AS queue_time,
    SUM(execution_time) AS execution_time,
    SUM(returned_rows) AS returned_rows,
    SUM(returned_bytes) AS returned_bytes
FROM sys_query_history
WHERE session_id = :session_id AND start_time >= CAST(:since AS TIMESTAMP);

-- name: session_scans
-- What the statements of one session read from tables.
SELECT
    SUM(steps.output_rows) AS scanned_rows,
    SUM(steps.output_bytes) AS scanned_bytes
FROM sys_query_detail AS steps
INNER JOIN sys_query_history AS queries
    ON steps.query_id = queries.query_id
WHERE
    queries.session_id = :session_id
    AND queries.start_time >= CAST(:since AS TIMESTAMP)
    AND TRIM(steps.step_name) = 'scan';
