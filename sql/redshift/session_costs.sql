-- What the statements of one session took, in microseconds, and what they gave back.
SELECT
    COUNT(*) AS queries,
    SUM(elapsed_time) AS elapsed_time,
    SUM(queue_time) AS queue_time,
    SUM(execution_time) AS execution_time,
    SUM(returned_rows) AS returned_rows,
    SUM(returned_bytes) AS returned_bytes
FROM sys_query_history
WHERE session_id = :session_id AND start_time >= CAST(:since AS TIMESTAMP)
