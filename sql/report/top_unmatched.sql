SELECT
    title,
    artist_name,
    plays - matched_plays AS unmatched_plays
FROM analytics.top_songs
WHERE plays > matched_plays
ORDER BY plays - matched_plays DESC, artist_name, title
LIMIT 10
