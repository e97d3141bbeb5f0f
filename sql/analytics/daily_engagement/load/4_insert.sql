-- Ratios are rounded as whole hundredths and ten-thousandths, which every engine does alike.
INSERT INTO analytics.daily_engagement (
    day, active_users, sessions, plays, paid_plays, free_plays, paid_users,
    weekly_active_users, week_start, plays_per_session, paid_share
)
SELECT
    days.play_day,
    days.active_users,
    days.sessions,
    days.plays,
    days.paid_plays,
    days.free_plays,
    days.paid_users,
    weekly_users.users,
    CAST(DATE_TRUNC('week', days.play_day) AS DATE),
    CAST((100 * days.plays + days.sessions / 2) / days.sessions AS DOUBLE PRECISION) / 100,
    CAST((10000 * days.paid_plays + days.plays / 2) / days.plays AS DOUBLE PRECISION) / 10000
FROM (
    SELECT
        CAST(start_time AS DATE) AS play_day,
        COUNT(DISTINCT user_id) AS active_users,
        COUNT(DISTINCT session_id) AS sessions,
        COUNT(*) AS plays,
        SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END) AS paid_plays,
        SUM(CASE WHEN level = 'free' THEN 1 ELSE 0 END) AS free_plays,
        COUNT(DISTINCT CASE WHEN level = 'paid' THEN user_id END) AS paid_users
    FROM analytics.songplays
    WHERE
        start_time >= (SELECT MIN(play_day) FROM pending_days)
        AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
        AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
    GROUP BY CAST(start_time AS DATE)
) AS days
INNER JOIN weekly_users
    ON days.play_day = weekly_users.play_day
