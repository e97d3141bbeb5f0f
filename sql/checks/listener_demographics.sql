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
    ) AS duplicate_keys
FROM analytics.listener_demographics
