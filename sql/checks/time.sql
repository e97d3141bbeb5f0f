-- Looks at the whole table, or at the days that the latest load of songplays changed.
SELECT
    COUNT(*) AS row_count,
    MAX(plays.distinct_start_times) AS expected_row_count,
    COUNT(moments.start_time) - COUNT(DISTINCT moments.start_time) AS duplicate_keys,
    COUNT(*) - COUNT(moments.start_time) AS null_keys,
    COALESCE(SUM(CASE WHEN moments.weekday NOT BETWEEN 0 AND 6 THEN 1 ELSE 0 END), 0)
        AS weekday_outside_domain,
    MAX(plays.start_time_missing_in_time) AS start_time_missing_in_time
FROM analytics.time AS moments
CROSS JOIN (
    SELECT
        COUNT(*) AS distinct_start_times,
        COUNT(*) - COUNT(known.start_time) AS start_time_missing_in_time
    FROM (
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
    LEFT JOIN (SELECT DISTINCT start_time FROM analytics.time) AS known
        ON played.start_time = known.start_time
) AS plays
WHERE
    :whole_table
    OR CAST(moments.start_time AS DATE) IN (
        SELECT changed_day
        FROM staging.load_changes
        WHERE table_name = 'songplays' AND load_id = :load_id
    )
