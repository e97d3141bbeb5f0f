INSERT INTO analytics.top_songs (
    title, artist_name, plays, paid_plays, matched_plays, first_played_at, last_played_at
)
SELECT
    title,
    artist_name,
    SUM(plays),
    SUM(paid_plays),
    SUM(matched_plays),
    MIN(first_played_at),
    MAX(last_played_at)
FROM staging.song_months
GROUP BY title, artist_name
