-- The latest days, newest first.
SELECT
    day,
    plays,
    matched_plays,
    matched_share,
    top_unmatched_title,
    top_unmatched_artist,
    top_unmatched_plays
FROM analytics.catalogue_coverage
ORDER BY day DESC
LIMIT 366
