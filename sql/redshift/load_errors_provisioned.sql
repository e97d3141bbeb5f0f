-- The same from the older table, which provisioned clusters have.
SELECT DISTINCT
    TRIM(filename) AS file_name,
    line_number,
    TRIM(colname) AS column_name,
    TRIM(err_reason) AS reason,
    TRIM(raw_field_value) AS value
FROM stl_load_errors
WHERE session = :session_id AND starttime >= CAST(:since AS TIMESTAMP)
ORDER BY file_name, line_number, column_name
