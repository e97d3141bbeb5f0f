-- The session's own number and the server's clock, by which its rows in the system views are found.
SELECT
    PG_BACKEND_PID() AS session_id,
    GETDATE() AS started_at
