-- The bounds of start_time spare the engine the blocks of other days; the cast alone does not.
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
    WHERE
        :is_full
        OR (
            start_time >= (SELECT MIN(play_day) FROM pending_days)
            AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
            AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
        )
) AS moments
