DELETE FROM staging.listener_months
WHERE :is_full OR play_month IN (SELECT play_month FROM pending_months)
