DELETE FROM staging.listening_days
WHERE :is_full OR play_day IN (SELECT play_day FROM pending_days)
