-- The file days whose events changed.
CREATE TEMP TABLE pending_days AS
SELECT DISTINCT file_day
FROM staging.staging_events
WHERE :is_full
UNION
SELECT changed_day
FROM staging.load_changes
WHERE table_name = 'staging_events' AND load_id > :staging_events_seen AND NOT :is_full
