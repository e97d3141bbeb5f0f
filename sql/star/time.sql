-- name: create
-- One row per distinct start_time of songplays.
-- Dealt out and sorted like songplays, by the column the two are joined on.
CREATE TABLE IF NOT EXISTS analytics.time (
    start_time TIMESTAMP NOT NULL,  -- the moment, UTC, to the millisecond
    hour INTEGER NOT NULL,          -- 0 to 23
    day INTEGER NOT NULL,           -- of the month, 1 to 31
    week INTEGER NOT NULL,          -- ISO 8601 week, 1 to 53
    month INTEGER NOT NULL,         -- 1 to 12
    year INTEGER NOT NULL,          -- calendar year
    weekday INTEGER NOT NULL        -- 0 is Sunday, 6 is Saturday
)
DISTKEY (start_time)
SORTKEY (start_time);



-- name: load
DELETE FROM analytics.time
WHERE :pending_days(start_time);

INSERT INTO analytics.time (start_time, hour, day, week, month, year, weekday)
SELECT
    start_time,
    EXTRACT(HOUR FROM start_time),
    EXTRACT(DAY FROM start_time),
    EXTRACT(WEEK FROM start_time),
    EXTRACT(MONTH FROM start_time),
    EXTRACT(YEAR FROM start_time),
    EXTRACT(DOW FROM start_time)
FROM (
    SELECT DISTINCT start_time
    FROM analytics.songplays
    WHERE :pending_days(start_time)
) AS moments;



-- name: check
-- Looks at the moments between first_day and last_day.
SELECT
    -- blocking: At least one row, and as many rows as songplays has distinct start times.
    COALESCE(SUM(moments.copies), 0) AS row_count,
    GREATEST(COUNT(played.start_time), :least_rows) AS row_count_expected,
    -- blocking: No two rows with the same start_time.
    COALESCE(SUM(CASE WHEN moments.start_time IS NOT NULL THEN moments.copies - 1 END), 0)
        AS unique_key,
    -- blocking: Every row has its start_time.
    COALESCE(SUM(CASE WHEN moments.start_time IS NULL THEN moments.copies END), 0)
        AS key_not_null,
    -- error: Every start_time of songplays is in time.
    COUNT(played.start_time) - COUNT(CASE WHEN moments.copies > 0 THEN played.start_time END)
        AS covers_songplays,
    -- error: weekday is one of: 0 (Sunday) to 6 (Saturday).
    COALESCE(SUM(moments.strange_weekdays), 0) AS weekday_domain
FROM (
    SELECT
        start_time,
        COUNT(*) AS copies,
        SUM(CASE WHEN weekday NOT BETWEEN 0 AND 6 THEN 1 ELSE 0 END) AS strange_weekdays
    FROM analytics.time
    WHERE :between_days(start_time)
    GROUP BY start_time
) AS moments
FULL JOIN (
    SELECT DISTINCT start_time
    FROM analytics.songplays
    WHERE :between_days(start_time)
) AS played
    ON moments.start_time = played.start_time;



-- name: check_covers_songplays
SELECT DISTINCT start_time
FROM analytics.songplays
WHERE start_time NOT IN (SELECT start_time FROM analytics.time WHERE start_time IS NOT NULL)
ORDER BY start_time
LIMIT 10;

-- name: check_weekday_domain
SELECT
    start_time,
    weekday
FROM analytics.time
WHERE weekday NOT BETWEEN 0 AND 6
ORDER BY start_time
LIMIT 10;
