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
    ) AS duplicate_keys
FROM analytics.listening_hours
