SELECT
    COALESCE(SUM(CASE WHEN to_level = 'paid' THEN 1 ELSE 0 END), 0) AS upgrades,
    COALESCE(SUM(CASE WHEN to_level = 'free' THEN 1 ELSE 0 END), 0) AS downgrades
FROM analytics.level_changes
