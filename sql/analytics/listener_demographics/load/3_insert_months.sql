-- The bound of start_time spares the engine the blocks of earlier months.
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
    WHERE :is_full OR start_time >= (SELECT MIN(play_month) FROM pending_months)
) AS plays_by_month
WHERE :is_full OR play_month IN (SELECT play_month FROM pending_months)
GROUP BY play_month, user_id, level, location
