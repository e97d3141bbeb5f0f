DELETE FROM analytics.time
WHERE :is_full OR CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
