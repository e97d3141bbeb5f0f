-- Day by day for the whole table, or for the days that the latest load of songplays changed.
SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    COALESCE(SUM(CASE WHEN active_users > weekly_active_users THEN 1 ELSE 0 END), 0)
        AS days_above_week,
    COUNT(*) - COUNT(DISTINCT day) AS duplicate_keys,
    (
        SELECT COUNT(*)
        FROM (
            SELECT day
            FROM (
                SELECT
                    day,
                    plays,
                    paid_plays
                FROM analytics.daily_engagement
                WHERE
                    :whole_table
                    OR day IN (
                        SELECT changed_day
                        FROM staging.load_changes
                        WHERE table_name = 'songplays' AND load_id = :load_id
                    )
                UNION ALL
                SELECT
                    CAST(start_time AS DATE) AS day,
                    -COUNT(*) AS plays,
                    -SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END) AS paid_plays
                FROM analytics.songplays
                WHERE
                    :whole_table
                    OR CAST(start_time AS DATE) IN (
                        SELECT changed_day
                        FROM staging.load_changes
                        WHERE table_name = 'songplays' AND load_id = :load_id
                    )
                GROUP BY CAST(start_time AS DATE)
            ) AS both_sides
            GROUP BY day
            HAVING SUM(plays) <> 0 OR SUM(paid_plays) <> 0
        ) AS differing
    ) AS days_that_differ
FROM analytics.daily_engagement
