-- Days are compared one by one: all of them, or those between the first and the last
-- that the latest load of songplays changed.
SELECT
    (SELECT COALESCE(SUM(plays), 0) FROM analytics.daily_engagement) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    (SELECT COUNT(*) - COUNT(DISTINCT day) FROM analytics.daily_engagement) AS duplicate_keys,
    COUNT(*) AS days,
    COALESCE(
        SUM(
            CASE
                WHEN
                    summed.plays = counted.plays
                    AND summed.paid_plays = counted.paid_plays
                    AND summed.active_users <= summed.weekly_active_users
                    THEN 1
                ELSE 0
            END
        ),
        0
    ) AS days_that_agree
FROM (
    SELECT
        day,
        plays,
        paid_plays,
        active_users,
        weekly_active_users
    FROM analytics.daily_engagement
    WHERE
        :whole_table
        OR day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
) AS summed
FULL JOIN (
    SELECT
        CAST(start_time AS DATE) AS day,
        COUNT(*) AS plays,
        SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END) AS paid_plays
    FROM analytics.songplays
    WHERE
        :whole_table
        OR (
            start_time >= CAST(:first_day AS DATE)
            AND start_time < CAST(:last_day AS DATE) + 1
        )
    GROUP BY CAST(start_time AS DATE)
) AS counted
    ON summed.day = counted.day
