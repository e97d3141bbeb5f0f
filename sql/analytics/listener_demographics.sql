-- Who listens most: summed up by month when plays change, and joined with users when asked.

-- name: create_listener_months
-- One row per month, listener, level and location of plays: what listener_demographics adds up
-- without reading all plays again.
CREATE TABLE IF NOT EXISTS staging.listener_months (
    play_month DATE NOT NULL,  -- first day of the month, UTC
    user_id VARCHAR(32),       -- the listener
    level VARCHAR(16),         -- free or paid, at the time of the plays
    location VARCHAR(512),     -- the listener's metropolitan area, at the time of the plays
    plays BIGINT NOT NULL      -- plays in the month
)
DISTKEY (user_id)
SORTKEY (play_month);

-- name: create
-- One row per gender, level and location that plays came from.
CREATE VIEW analytics.listener_demographics AS
SELECT
    -- VARCHAR(16): F or M, as in users; NULL where unknown
    gender,
    -- VARCHAR(16): free or paid, at the time of the plays
    level,
    -- VARCHAR(512): metropolitan area, at the time of the plays
    location,
    -- BIGINT: users; one who changes level counts in both
    listeners,
    -- BIGINT: songs they played
    plays,
    -- DOUBLE PRECISION: to 2 decimals; 0 without a known listener
    CASE
        WHEN listeners = 0 THEN 0
        ELSE CAST((100 * plays + listeners / 2) / listeners AS DOUBLE PRECISION) / 100
    END AS plays_per_listener
FROM (
    SELECT
        users.gender,
        months.level,
        months.location,
        COUNT(DISTINCT months.user_id) AS listeners,
        CAST(SUM(months.plays) AS BIGINT) AS plays
    FROM staging.listener_months AS months
    LEFT JOIN analytics.users
        ON months.user_id = users.user_id
    GROUP BY users.gender, months.level, months.location
) AS totals;

-- name: load
DELETE FROM staging.listener_months
WHERE :pending_months(play_month);

INSERT INTO staging.listener_months (play_month, user_id, level, location, plays)
SELECT
    play_month,
    user_id,
    level,
    location,
    COUNT(*)
FROM (
    SELECT
        CAST(DATE_TRUNC('month', start_time) AS DATE) AS play_month,
        user_id,
        level,
        location
    FROM analytics.songplays
    WHERE :since_month_of_first_day(start_time)
) AS plays_by_month
WHERE :pending_months(play_month)
GROUP BY play_month, user_id, level, location;

-- name: check
SELECT
    -- blocking: No two rows with the same gender, level and location.
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                gender,
                level,
                location
            FROM analytics.listener_demographics
            GROUP BY gender, level, location
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    COALESCE(SUM(plays), 0) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected
FROM analytics.listener_demographics;

-- name: report
SELECT
    gender,
    level,
    location,
    listeners,
    plays,
    plays_per_listener,
    (SELECT COUNT(*) FROM analytics.listener_demographics) AS row_count
FROM analytics.listener_demographics
ORDER BY plays DESC, location, gender, level;
