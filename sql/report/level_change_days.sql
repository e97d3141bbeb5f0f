-- The latest days, newest first.
SELECT
    CAST(changed_at AS DATE) AS day,
    SUM(CASE WHEN to_level = 'paid' THEN 1 ELSE 0 END) AS upgrades,
    SUM(CASE WHEN to_level = 'free' THEN 1 ELSE 0 END) AS downgrades
FROM analytics.level_changes
GROUP BY CAST(changed_at AS DATE)
ORDER BY CAST(changed_at AS DATE) DESC
LIMIT 366
