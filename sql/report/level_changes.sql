-- The latest changes, newest first.
SELECT
    changed_at,
    user_id,
    from_level,
    to_level,
    hours_since_first_seen
FROM analytics.level_changes
ORDER BY changed_at DESC, user_id, change_number DESC
LIMIT 10
