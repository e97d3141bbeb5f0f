-- The latest days, newest first.
SELECT
    day,
    active_users,
    weekly_active_users,
    sessions,
    plays,
    paid_plays,
    free_plays,
    plays_per_session,
    paid_share
FROM analytics.daily_engagement
ORDER BY day DESC
LIMIT 366
