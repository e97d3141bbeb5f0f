SELECT
    COALESCE(SUM(plays), 0) AS plays,
    COALESCE(SUM(matched_plays), 0) AS matched_plays
FROM analytics.catalogue_coverage
