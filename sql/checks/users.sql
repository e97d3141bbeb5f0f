SELECT
    COUNT(*) AS row_count,
    (SELECT COUNT(DISTINCT user_id) FROM staging.user_days) AS expected_row_count,
    COUNT(user_id) - COUNT(DISTINCT user_id) AS duplicate_keys,
    COUNT(*) - COUNT(user_id) AS null_keys,
    COALESCE(SUM(CASE WHEN level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_outside_domain,
    COALESCE(SUM(CASE WHEN gender NOT IN ('F', 'M') THEN 1 ELSE 0 END), 0)
        AS gender_outside_domain
FROM analytics.users
