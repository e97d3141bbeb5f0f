-- The bound of start_time spares the engine the blocks of earlier months.
INSERT INTO staging.song_months (
    play_month, title, artist_name, plays, paid_plays, matched_plays,
    first_played_at, last_played_at
)
SELECT
    play_month,
    title,
    artist_name,
    COUNT(*),
    SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END),
    COUNT(song_id),
    MIN(start_time),
    MAX(start_time)
FROM (
    SELECT
        CAST(DATE_TRUNC('month', start_time) AS DATE) AS play_month,
        title,
        artist_name,
        level,
        song_id,
        start_time
    FROM analytics.songplays
    WHERE :is_full OR start_time >= (SELECT MIN(play_month) FROM pending_months)
) AS plays_by_month
WHERE :is_full OR play_month IN (SELECT play_month FROM pending_months)
GROUP BY play_month, title, artist_name
