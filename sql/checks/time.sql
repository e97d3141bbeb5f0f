-- Looks at the whole table, or at the days that the latest load of songplays changed.
SELECT
    COALESCE(SUM(moments.copies), 0) AS row_count,
    COUNT(played.start_time) AS expected_row_count,
    COALESCE(SUM(CASE WHEN moments.start_time IS NOT NULL THEN moments.copies - 1 END), 0)
        AS duplicate_keys,
    COALESCE(SUM(CASE WHEN moments.start_time IS NULL THEN moments.copies END), 0) AS null_keys,
    COALESCE(SUM(moments.strange_weekdays), 0) AS weekday_outside_domain,
    COUNT(played.start_time) - COUNT(CASE WHEN moments.copies > 0 THEN played.start_time END)
        AS start_time_missing_in_time
FROM (
    SELECT
        start_time,
        COUNT(*) AS copies,
        SUM(CASE WHEN weekday NOT BETWEEN 0 AND 6 THEN 1 ELSE 0 END) AS strange_weekdays
    FROM analytics.time
    WHERE
        :whole_table
        OR CAST(start_time AS DATE) IN (
            SELECT changed_day
            FROM staging.load_changes
            WHERE table_name = 'songplays' AND load_id = :load_id
        )
    GROUP BY start_time
) AS moments
FULL JOIN (
    SELECT DISTINCT start_time
    FROM analytics.songplays
    WHERE
        :whole_table
        OR CAST(start_time AS DATE) IN (
            SELECT changed_day
            FROM staging.load_changes
            WHERE table_name = 'songplays' AND load_id = :load_id
        )
) AS played
    ON moments.start_time = played.start_time
