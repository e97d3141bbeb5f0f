-- Most users keep their level all day; only the days of the others have to be put in order.
INSERT INTO staging.user_levels (user_id, event_day, stretch, started_at, level)
SELECT
    user_id,
    event_day,
    1,
    MIN(ts),
    MIN(level)
FROM user_events
GROUP BY user_id, event_day
HAVING MIN(level) = MAX(level)
UNION ALL
SELECT
    user_id,
    event_day,
    ROW_NUMBER() OVER (
        PARTITION BY user_id, event_day
        ORDER BY ts, session_id, item_in_session
    ),
    ts,
    level
FROM (
    SELECT
        events.user_id,
        events.event_day,
        events.ts,
        events.session_id,
        events.item_in_session,
        events.level,
        LAG(events.level) OVER (
            PARTITION BY events.user_id, events.event_day
            ORDER BY events.ts, events.session_id, events.item_in_session
        ) AS level_before
    FROM user_events AS events
    INNER JOIN (
        SELECT
            user_id,
            event_day
        FROM user_events
        GROUP BY user_id, event_day
        HAVING MIN(level) <> MAX(level)
    ) AS mixed_days
        ON events.user_id = mixed_days.user_id
        AND events.event_day = mixed_days.event_day
) AS ordered_events
WHERE level_before IS NULL OR level_before <> level
