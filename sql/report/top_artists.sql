SELECT
    artist_name,
    plays,
    songs,
    top_title
FROM analytics.top_artists
ORDER BY plays DESC, artist_name
LIMIT 15
