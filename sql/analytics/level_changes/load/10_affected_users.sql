INSERT INTO affected_users (user_id)
SELECT DISTINCT user_id
FROM user_events
WHERE NOT :is_full
