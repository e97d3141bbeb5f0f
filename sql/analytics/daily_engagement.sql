-- name: create
-- One row per day with plays.
CREATE TABLE IF NOT EXISTS analytics.daily_engagement (
    day DATE NOT NULL,                            -- UTC day of the plays' start_time
    active_users BIGINT NOT NULL,                 -- users who played a song that day
    sessions BIGINT NOT NULL,                     -- sessions with a play that day
    plays BIGINT NOT NULL,                        -- songs played
    paid_plays BIGINT NOT NULL,                   -- of these, by listeners on the paid level
    free_plays BIGINT NOT NULL,                   -- of these, by listeners on the free level
    paid_users BIGINT NOT NULL,                   -- users with a play on the paid level that day
    weekly_active_users BIGINT NOT NULL,          -- users who played in the 7 days that end with it
    week_start DATE NOT NULL,                     -- the Monday of its week (ISO 8601)
    plays_per_session DOUBLE PRECISION NOT NULL,  -- to 2 decimals
    paid_share DOUBLE PRECISION NOT NULL          -- share of plays on the paid level, to 4 decimals
)
DISTSTYLE ALL
SORTKEY (day);



-- name: load
-- The days whose row may differ: those whose plays changed and, as an active week reaches back, the
-- six after each.
CREATE TEMP TABLE pending_days AS
SELECT DISTINCT pending.changed_day + offsets.days AS play_day
FROM pending
CROSS JOIN (:seven_days()) AS offsets;

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
            start_time >= CAST(:first_day AS DATE) - 6
            AND start_time < CAST(:last_day AS DATE) + 7
    ) AS listeners
    CROSS JOIN (:seven_days()) AS offsets
) AS active_days
INNER JOIN pending_days
    ON active_days.play_day = pending_days.play_day
GROUP BY active_days.play_day;

DELETE FROM analytics.daily_engagement
WHERE day IN (SELECT play_day FROM pending_days);

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
        start_time >= CAST(:first_day AS DATE)
        AND start_time < CAST(:last_day AS DATE) + 7
        AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
    GROUP BY CAST(start_time AS DATE)
) AS days
INNER JOIN weekly_users
    ON days.play_day = weekly_users.play_day;



-- name: check
-- Days are compared one by one, between first_day and last_day.
SELECT
    -- blocking: No two rows with the same day.
    (SELECT COUNT(*) - COUNT(DISTINCT day) FROM analytics.daily_engagement) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    (SELECT COALESCE(SUM(plays), 0) FROM analytics.daily_engagement) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected,
    -- error: Every day's plays and paid plays are those of songplays, and no day has more active
    -- users than the week that ends with it.
    COALESCE(
        SUM(
            CASE
                WHEN
                    summed.plays = counted.plays
                    AND summed.paid_plays = counted.paid_plays
                    AND summed.active_users <= summed.weekly_active_users
                    THEN 0
                ELSE 1
            END
        ),
        0
    ) AS days_reconcile,
    COUNT(*) AS days
FROM (
    SELECT
        day,
        plays,
        paid_plays,
        active_users,
        weekly_active_users
    FROM analytics.daily_engagement
    WHERE day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
) AS summed
FULL JOIN (
    SELECT
        CAST(start_time AS DATE) AS day,
        COUNT(*) AS plays,
        SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END) AS paid_plays
    FROM analytics.songplays
    WHERE :between_days(start_time)
    GROUP BY CAST(start_time AS DATE)
) AS counted
    ON summed.day = counted.day;



-- name: check_days_reconcile
SELECT
    summed.day,
    summed.plays,
    COUNT(plays.songplay_id) AS songplays_rows,
    summed.paid_plays,
    COUNT(CASE WHEN plays.level = 'paid' THEN plays.songplay_id END) AS songplays_paid,
    summed.active_users,
    summed.weekly_active_users
FROM analytics.daily_engagement AS summed
LEFT JOIN analytics.songplays AS plays
    ON summed.day = CAST(plays.start_time AS DATE)
GROUP BY
    summed.day,
    summed.plays,
    summed.paid_plays,
    summed.active_users,
    summed.weekly_active_users
HAVING
    summed.plays <> COUNT(plays.songplay_id)
    OR summed.paid_plays <> COUNT(CASE WHEN plays.level = 'paid' THEN plays.songplay_id END)
    OR summed.active_users > summed.weekly_active_users
ORDER BY summed.day
LIMIT 10;



-- name: report
-- The latest days, newest first.
SELECT
    day,
    active_users,
    weekly_active_users,
    sessions,
    plays,
    paid_plays,
    free_plays,
    plays_per_session,
    paid_share,
    (SELECT COUNT(*) FROM analytics.daily_engagement) AS row_count
FROM analytics.daily_engagement
ORDER BY day DESC
LIMIT 366;



-- name: report_totals
SELECT
    MIN(day) AS first_day,
    MAX(day) AS last_day,
    COALESCE(SUM(plays), 0) AS plays,
    COALESCE(SUM(paid_plays), 0) AS paid_plays
FROM analytics.daily_engagement;
