INSERT INTO analytics.listener_demographics (
    gender, level, location, listeners, plays, plays_per_listener
)
SELECT
    gender,
    level,
    location,
    listeners,
    plays,
    CASE
        WHEN listeners = 0 THEN 0
        ELSE CAST((100 * plays + listeners / 2) / listeners AS DOUBLE PRECISION) / 100
    END
FROM (
    SELECT
        users.gender,
        months.level,
        months.location,
        COUNT(DISTINCT months.user_id) AS listeners,
        CAST(SUM(months.plays) AS BIGINT) AS plays
    FROM staging.listener_months AS months
    LEFT JOIN analytics.users
        ON months.user_id = users.user_id
    GROUP BY users.gender, months.level, months.location
) AS totals
