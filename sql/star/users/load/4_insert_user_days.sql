-- Each user's latest event of each day. Few events share a moment, so the window sorts hardly more
-- rows than there are users and days, not all events.
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
            ORDER BY events.session_id DESC, events.item_in_session DESC
        ) AS recency
    FROM staging.current_events AS events
    INNER JOIN (
        SELECT
            of_day.user_id,
            of_day.file_day,
            MAX(of_day.ts) AS ts
        FROM staging.current_events AS of_day
        INNER JOIN pending_days
            ON of_day.file_day = pending_days.file_day
        WHERE of_day.user_id <> ''
        GROUP BY of_day.user_id, of_day.file_day
    ) AS latest
        ON events.user_id = latest.user_id
        AND events.file_day = latest.file_day
        AND events.ts = latest.ts
) AS latest_events
WHERE recency = 1
