-- Looks at the whole table, or at the days between the first and the last that the
-- latest load of songplays changed.
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
        OR (
            start_time >= CAST(:first_day AS DATE)
            AND start_time < CAST(:last_day AS DATE) + 1
        )
    GROUP BY start_time
) AS moments
FULL JOIN (
    SELECT DISTINCT start_time
    FROM analytics.songplays
    WHERE
        :whole_table
        OR (
            start_time >= CAST(:first_day AS DATE)
            AND start_time < CAST(:last_day AS DATE) + 1
        )
) AS played
    ON moments.start_time = played.start_time
