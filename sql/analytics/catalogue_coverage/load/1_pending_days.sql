CREATE TEMP TABLE pending_days AS
SELECT DISTINCT CAST(start_time AS DATE) AS play_day
FROM analytics.songplays
WHERE :is_full
UNION
SELECT changed_day
FROM staging.load_changes
WHERE table_name = 'songplays' AND load_id > :songplays_seen AND NOT :is_full
