SELECT
    title,
    artist_name,
    plays,
    paid_plays,
    matched_plays
FROM analytics.top_songs
ORDER BY plays DESC, artist_name, title
LIMIT 15
