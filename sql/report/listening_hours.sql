SELECT
    weekday,
    hour,
    plays,
    paid_plays
FROM analytics.listening_hours
ORDER BY plays DESC, weekday, hour
