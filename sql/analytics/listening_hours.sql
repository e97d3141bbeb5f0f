-- When songs are played: summed up by day when plays change, over all days when asked.

-- name: create_listening_days
-- One row per day and hour with plays: what listening_hours adds up without reading all plays.
CREATE TABLE IF NOT EXISTS staging.listening_days (
    play_day DATE NOT NULL,     -- UTC day
    hour INTEGER NOT NULL,      -- 0 to 23, UTC
    plays BIGINT NOT NULL,      -- plays that began in it
    paid_plays BIGINT NOT NULL  -- of these, by listeners on the paid level
)
DISTSTYLE EVEN
SORTKEY (play_day);

-- name: create
-- One row per weekday and hour with plays.
CREATE VIEW analytics.listening_hours AS
SELECT
    -- INTEGER: 0 is Sunday, 6 is Saturday, as in time
    weekday,
    -- INTEGER: 0 to 23, UTC
    hour,
    -- BIGINT: plays that began in it, over all days
    CAST(SUM(plays) AS BIGINT) AS plays,
    -- BIGINT: of these, by listeners on the paid level
    CAST(SUM(paid_plays) AS BIGINT) AS paid_plays
FROM (
    SELECT
        CAST(EXTRACT(DOW FROM play_day) AS INTEGER) AS weekday,
        hour,
        plays,
        paid_plays
    FROM staging.listening_days
) AS days
GROUP BY weekday, hour;

-- name: load
DELETE FROM staging.listening_days
WHERE play_day IN (SELECT changed_day FROM pending);

INSERT INTO staging.listening_days (play_day, hour, plays, paid_plays)
SELECT
    play_day,
    hour,
    COUNT(*),
    SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END)
FROM (
    SELECT
        CAST(start_time AS DATE) AS play_day,
        EXTRACT(HOUR FROM start_time) AS hour,
        level
    FROM analytics.songplays
    WHERE :pending_days(start_time)
) AS plays_by_hour
GROUP BY play_day, hour;

-- name: check
SELECT
    -- blocking: No two rows with the same weekday and hour.
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                weekday,
                hour
            FROM analytics.listening_hours
            GROUP BY weekday, hour
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    COALESCE(SUM(plays), 0) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected
FROM analytics.listening_hours;

-- name: report
SELECT
    weekday,
    hour,
    plays,
    paid_plays,
    (SELECT COUNT(*) FROM analytics.listening_hours) AS row_count
FROM analytics.listening_hours
ORDER BY plays DESC, weekday, hour;
