SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                gender,
                level,
                location
            FROM analytics.listener_demographics
            GROUP BY gender, level, location
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS duplicate_keys,
    COALESCE(SUM(CASE WHEN gender NOT IN ('F', 'M') THEN 1 ELSE 0 END), 0)
        AS gender_outside_domain,
    COALESCE(SUM(CASE WHEN level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_outside_domain
FROM analytics.listener_demographics
