INSERT INTO affected_users (user_id)
SELECT DISTINCT user_id
FROM staging.user_days
WHERE file_day IN (SELECT file_day FROM pending_days) AND NOT :is_full
