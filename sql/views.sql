-- Views: what the staging tables mean, and the names that the script projects use.

-- name: current_events
-- The events that count: of an event that lies in the files more than once, the copy of the latest
-- file day; within one day the latest in time, then the first by its other fields. Text is without
-- trailing blanks from here on: Redshift disregards them when it compares, other engines do not.
CREATE VIEW staging.current_events AS
SELECT
    session_id,
    item_in_session,
    ts,
    RTRIM(page, ' ') AS page,
    RTRIM(user_id, ' ') AS user_id,
    RTRIM(first_name, ' ') AS first_name,
    RTRIM(last_name, ' ') AS last_name,
    RTRIM(gender, ' ') AS gender,
    RTRIM(level, ' ') AS level,
    RTRIM(location, ' ') AS location,
    RTRIM(user_agent, ' ') AS user_agent,
    RTRIM(song, ' ') AS song,
    RTRIM(artist, ' ') AS artist,
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
        events.file_day
    FROM staging.staging_events AS events
    WHERE
        NOT EXISTS (
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
) AS counted;

-- name: current_songs
-- The song objects, their text without trailing blanks.
CREATE VIEW staging.current_songs AS
SELECT
    RTRIM(song_id, ' ') AS song_id,
    RTRIM(title, ' ') AS title,
    RTRIM(artist_id, ' ') AS artist_id,
    RTRIM(artist_name, ' ') AS artist_name,
    RTRIM(artist_location, ' ') AS artist_location,
    artist_latitude,
    artist_longitude,
    duration,
    year,
    source_file
FROM staging.staging_songs;

-- name: events
CREATE VIEW staging.events AS
SELECT * FROM staging.staging_events;

-- name: songs
CREATE VIEW staging.songs AS
SELECT * FROM staging.staging_songs;

-- name: times
CREATE VIEW analytics.times AS
SELECT * FROM analytics.time;
