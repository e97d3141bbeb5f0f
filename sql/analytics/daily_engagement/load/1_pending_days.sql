-- The days whose row may differ: those whose plays changed and, as an active week reaches back, the
-- six after each. With a full build all days.
CREATE TEMP TABLE pending_days AS
SELECT DISTINCT CAST(start_time AS DATE) AS play_day
FROM analytics.songplays
WHERE :is_full
UNION
SELECT changes.changed_day + offsets.days AS play_day
FROM staging.load_changes AS changes
CROSS JOIN (
    SELECT 0 AS days
    UNION ALL SELECT 1
    UNION ALL SELECT 2
    UNION ALL SELECT 3
    UNION ALL SELECT 4
    UNION ALL SELECT 5
    UNION ALL SELECT 6
) AS offsets
WHERE
    changes.table_name = 'songplays'
    AND changes.load_id > :songplays_seen
    AND NOT :is_full
