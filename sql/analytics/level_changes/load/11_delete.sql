DELETE FROM analytics.level_changes
WHERE :is_full OR user_id IN (SELECT user_id FROM affected_users)
