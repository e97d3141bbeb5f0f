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
    AND TRIM(steps.step_name) = 'scan'
