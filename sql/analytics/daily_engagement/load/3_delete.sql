DELETE FROM analytics.daily_engagement
WHERE :is_full OR day IN (SELECT play_day FROM pending_days)
