SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                weekday,
                hour
            FROM analytics.listening_hours
            GROUP BY weekday, hour
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS duplicate_keys,
    COALESCE(SUM(CASE WHEN weekday NOT BETWEEN 0 AND 6 THEN 1 ELSE 0 END), 0)
        AS weekday_outside_domain,
    COALESCE(SUM(CASE WHEN hour NOT BETWEEN 0 AND 23 THEN 1 ELSE 0 END), 0)
        AS hour_outside_domain
FROM analytics.listening_hours
