CREATE TEMP TABLE pending_days AS
SELECT DISTINCT changed_day AS play_day
FROM staging.load_changes
WHERE table_name = 'songplays' AND load_id > :songplays_seen AND NOT :is_full
