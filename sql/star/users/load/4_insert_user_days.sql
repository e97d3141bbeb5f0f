INSERT INTO staging.user_days (
    user_id, file_day, ts, session_id, item_in_session, first_name, last_name, gender, level
)
SELECT
    user_id,
    file_day,
    ts,
    session_id,
    item_in_session,
    first_name,
    last_name,
    gender,
    level
FROM (
    SELECT
        events.user_id,
        events.file_day,
        events.ts,
        events.session_id,
        events.item_in_session,
        events.first_name,
        events.last_name,
        events.gender,
        events.level,
        ROW_NUMBER() OVER (
            PARTITION BY events.user_id, events.file_day
            ORDER BY events.ts DESC, events.session_id DESC, events.item_in_session DESC
        ) AS recency
    FROM staging.current_events AS events
    INNER JOIN pending_days
        ON events.file_day = pending_days.file_day
    WHERE events.user_id <> ''
) AS events_of_day
WHERE recency = 1
