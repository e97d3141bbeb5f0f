-- Who was seen on these days before this load; those seen now follow.
CREATE TEMP TABLE affected_users AS
SELECT DISTINCT user_id
FROM staging.user_days
WHERE file_day IN (SELECT file_day FROM pending_days) AND NOT :is_full
