-- Who was seen on these days before this load; those seen now follow.
CREATE TEMP TABLE affected_users AS
SELECT DISTINCT user_id
FROM staging.user_levels
WHERE event_day IN (SELECT event_day FROM pending_event_days) AND NOT :is_full
