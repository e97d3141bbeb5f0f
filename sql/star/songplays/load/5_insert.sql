-- Every play keeps its row; one whose song is not in the catalogue has no song_id and no artist_id.
INSERT INTO analytics.songplays (
    songplay_id, start_time, user_id, level, song_id, artist_id, session_id, location, user_agent,
    item_in_session, title, artist_name, length, file_day
)
SELECT
    MD5(
        CAST(events.session_id AS VARCHAR(20)) || '-' || CAST(events.item_in_session AS VARCHAR(20))
    ),
    events.ts,
    NULLIF(events.user_id, ''),
    events.level,
    song_matches.song_id,
    song_matches.artist_id,
    events.session_id,
    events.location,
    events.user_agent,
    events.item_in_session,
    events.song,
    events.artist,
    events.length,
    events.file_day
FROM staging.current_events AS events
INNER JOIN pending_days
    ON events.file_day = pending_days.file_day
LEFT JOIN song_matches
    ON events.song = song_matches.title
    AND events.artist = song_matches.artist_name
    AND COALESCE(events.length, -1) = song_matches.length
WHERE events.page = 'NextSong'
