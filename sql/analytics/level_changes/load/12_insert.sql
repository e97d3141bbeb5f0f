INSERT INTO analytics.level_changes (
    changed_at, user_id, from_level, to_level, change_number, first_seen_at,
    hours_since_first_seen
)
SELECT
    started_at,
    user_id,
    level_before,
    level,
    ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY event_day, stretch),
    first_seen_at,
    DATEDIFF(SECOND, first_seen_at, started_at) / 3600
FROM (
    SELECT
        user_id,
        event_day,
        stretch,
        started_at,
        level,
        LAG(level) OVER (PARTITION BY user_id ORDER BY event_day, stretch) AS level_before,
        MIN(started_at) OVER (PARTITION BY user_id) AS first_seen_at
    FROM staging.user_levels
    WHERE :is_full OR user_id IN (SELECT user_id FROM affected_users)
) AS stretches
WHERE level_before <> level
