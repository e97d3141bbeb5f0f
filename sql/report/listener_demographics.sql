SELECT
    gender,
    level,
    location,
    listeners,
    plays,
    plays_per_listener
FROM analytics.listener_demographics
ORDER BY plays DESC, location, gender, level
