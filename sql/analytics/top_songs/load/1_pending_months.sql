-- The months whose plays changed.
CREATE TEMP TABLE pending_months AS
SELECT DISTINCT CAST(DATE_TRUNC('month', changed_day) AS DATE) AS play_month
FROM staging.load_changes
WHERE table_name = 'songplays' AND load_id > :songplays_seen AND NOT :is_full
