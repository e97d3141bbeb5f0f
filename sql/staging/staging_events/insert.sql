-- The day is in the last 22 characters of the name, as 2018-11-01-events.json.
INSERT INTO staging.staging_events (
    artist, auth, first_name, gender, item_in_session, last_name, length, level, location,
    method, page, registration, session_id, song, status, ts, user_agent, user_id, file_day
)
SELECT
    artist,
    auth,
    first_name,
    gender,
    item_in_session,
    last_name,
    length,
    level,
    location,
    method,
    page,
    registration,
    session_id,
    song,
    status,
    ts,
    user_agent,
    user_id,
    CAST(LEFT(RIGHT(REPLACE(source_file, '.gz', ''), 22), 10) AS DATE)
FROM landing_events
