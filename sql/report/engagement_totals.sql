SELECT
    MIN(day) AS first_day,
    MAX(day) AS last_day,
    COALESCE(SUM(plays), 0) AS plays,
    COALESCE(SUM(paid_plays), 0) AS paid_plays
FROM analytics.daily_engagement
