INSERT INTO analytics.listening_hours (weekday, hour, plays, paid_plays)
SELECT
    weekday,
    hour,
    SUM(plays),
    SUM(paid_plays)
FROM (
    SELECT
        EXTRACT(DOW FROM play_day) AS weekday,
        hour,
        plays,
        paid_plays
    FROM staging.listening_days
) AS days
GROUP BY weekday, hour
