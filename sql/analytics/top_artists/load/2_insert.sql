INSERT INTO analytics.top_artists (
    artist_name, plays, paid_plays, matched_plays, songs, top_title,
    first_played_at, last_played_at
)
SELECT
    artist_name,
    SUM(plays),
    SUM(paid_plays),
    SUM(matched_plays),
    COUNT(*),
    MAX(CASE WHEN place = 1 THEN title END),
    MIN(first_played_at),
    MAX(last_played_at)
FROM (
    SELECT
        artist_name,
        title,
        plays,
        paid_plays,
        matched_plays,
        first_played_at,
        last_played_at,
        ROW_NUMBER() OVER (PARTITION BY artist_name ORDER BY plays DESC, title) AS place
    FROM analytics.top_songs
) AS songs_of_artist
GROUP BY artist_name
