-- The events that count: of an event that lies in the files more than once, the copy of the latest
-- file day; within one day the latest in time, then the first by its other fields.
CREATE OR REPLACE VIEW staging.current_events AS
SELECT
    events.session_id,
    events.item_in_session,
    events.ts,
    events.page,
    events.user_id,
    events.first_name,
    events.last_name,
    events.gender,
    events.level,
    events.location,
    events.user_agent,
    events.song,
    events.artist,
    events.length,
    events.file_day
FROM staging.staging_events AS events
WHERE NOT EXISTS (
    SELECT 1
    FROM staging.repeated_events AS repeated
    WHERE
        events.session_id = repeated.session_id
        AND events.item_in_session = repeated.item_in_session
)
UNION ALL
SELECT
    session_id,
    item_in_session,
    ts,
    page,
    user_id,
    first_name,
    last_name,
    gender,
    level,
    location,
    user_agent,
    song,
    artist,
    length,
    file_day
FROM (
    SELECT
        events.session_id,
        events.item_in_session,
        events.ts,
        events.page,
        events.user_id,
        events.first_name,
        events.last_name,
        events.gender,
        events.level,
        events.location,
        events.user_agent,
        events.song,
        events.artist,
        events.length,
        events.file_day,
        ROW_NUMBER() OVER (
            PARTITION BY events.session_id, events.item_in_session
            ORDER BY
                events.file_day DESC, events.ts DESC, events.page, events.user_id,
                events.first_name, events.last_name, events.gender, events.level,
                events.location, events.user_agent, events.song, events.artist, events.length
        ) AS copy_number
    FROM staging.staging_events AS events
    INNER JOIN (
        SELECT DISTINCT
            session_id,
            item_in_session
        FROM staging.repeated_events
    ) AS repeated
        ON events.session_id = repeated.session_id
        AND events.item_in_session = repeated.item_in_session
) AS copies
WHERE copy_number = 1
