-- Who counts as active in the week that ends with each day: every day's listeners, for that day and
-- the six after it.
CREATE TEMP TABLE weekly_users AS
SELECT
    active_days.play_day,
    COUNT(DISTINCT active_days.user_id) AS users
FROM (
    SELECT
        listeners.play_day + offsets.days AS play_day,
        listeners.user_id
    FROM (
        SELECT DISTINCT
            CAST(start_time AS DATE) AS play_day,
            user_id
        FROM analytics.songplays
        WHERE
            :is_full
            OR (
                start_time >= (SELECT MIN(play_day) - 6 FROM pending_days)
                AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
            )
    ) AS listeners
    CROSS JOIN (
        SELECT 0 AS days
        UNION ALL SELECT 1
        UNION ALL SELECT 2
        UNION ALL SELECT 3
        UNION ALL SELECT 4
        UNION ALL SELECT 5
        UNION ALL SELECT 6
    ) AS offsets
) AS active_days
INNER JOIN pending_days
    ON active_days.play_day = pending_days.play_day
GROUP BY active_days.play_day
