DELETE FROM analytics.catalogue_coverage
WHERE :is_full OR day IN (SELECT play_day FROM pending_days)
