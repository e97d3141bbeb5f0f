-- The bounds of start_time spare the engine the blocks of other days; the cast alone does not.
CREATE TEMP TABLE unmatched_songs AS
SELECT
    CAST(start_time AS DATE) AS play_day,
    title,
    artist_name,
    COUNT(*) AS plays
FROM analytics.songplays
WHERE
    song_id IS NULL
    AND start_time >= (SELECT MIN(play_day) FROM pending_days)
    AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
    AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
GROUP BY CAST(start_time AS DATE), title, artist_name
