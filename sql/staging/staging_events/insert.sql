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
    CAST(SUBSTRING(source_file, STRPOS(source_file, '-events.json') - 10, 10) AS DATE)
FROM landing_events
