-- The bounds of start_time spare the engine the blocks of other days; the cast alone does not.
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
    WHERE
        :is_full
        OR (
            start_time >= (SELECT MIN(play_day) FROM pending_days)
            AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
            AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
        )
) AS plays_by_hour
GROUP BY play_day, hour
