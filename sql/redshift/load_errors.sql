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
ORDER BY file_name, line_number, column_name
