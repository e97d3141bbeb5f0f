DELETE FROM staging.user_levels
WHERE :is_full OR event_day IN (SELECT event_day FROM pending_event_days)
