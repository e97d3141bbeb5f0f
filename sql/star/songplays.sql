-- name: create
-- One row per play: an event with page NextSong, whether or not its song is in the catalogue.
-- Sorted by start_time, as most questions ask for a span of time, and dealt out by it: time, the
-- one dimension that grows along, is laid out the same, so the two merge where they lie.
-- Milliseconds spread evenly; song_id would heap the many plays without one on a single slice.
CREATE TABLE IF NOT EXISTS analytics.songplays (
    songplay_id VARCHAR(32) NOT NULL,  -- MD5 of session and item: the same in every run and engine
    start_time TIMESTAMP NOT NULL,     -- when the play began, UTC, to the millisecond; joins time
    user_id VARCHAR(32),               -- the listener; joins users
    level VARCHAR(16),                 -- free or paid, at the time of the play
    song_id VARCHAR(32),               -- the song in the catalogue; NULL where none matches
    artist_id VARCHAR(32),             -- its artist; NULL where no song matches
    session_id BIGINT NOT NULL,        -- session of the play
    location VARCHAR(512),             -- the listener's metropolitan area
    user_agent VARCHAR(512),           -- browser, as logged
    item_in_session INTEGER NOT NULL,  -- position of the play in its session
    title VARCHAR(256),                -- song title, as logged
    artist_name VARCHAR(256),          -- artist, as logged
    length DOUBLE PRECISION,           -- seconds of the song, as logged
    file_day DATE NOT NULL             -- the day of the event file the play is from
)
DISTKEY (start_time)
SORTKEY (start_time);



-- name: changes
-- The days (UTC, of start_time) whose plays differ after this load.
INSERT INTO staging.load_changes (table_name, load_id, changed_day)
SELECT
    'songplays',
    :load_id,
    play_day
FROM (
    SELECT CAST(start_time AS DATE) AS play_day
    FROM analytics.songplays
    WHERE
        file_day IN (SELECT changed_day FROM pending WHERE source_table = 'staging_events')
    UNION
    SELECT CAST(songplays.start_time AS DATE) AS play_day
    FROM analytics.songplays
    INNER JOIN pending
        ON songplays.title = pending.title
        AND songplays.artist_name = pending.artist_name
) AS changed;



-- name: all_changes
INSERT INTO pending (source_table, changed_day)
SELECT DISTINCT
    CAST('songplays' AS VARCHAR(64)),
    CAST(start_time AS DATE)
FROM analytics.songplays;



-- name: load
-- Titles whose songs came, changed or went: plays of them on other days are matched again.
CREATE TEMP TABLE changed_titles AS
SELECT DISTINCT
    title,
    artist_name
FROM pending
WHERE source_table = 'songs';

-- The song each play is of: same title and artist; of several, the closest in duration, then the
-- lowest song_id. Only plays that match appear. A play of unknown length, here -1, is as close to
-- one song as to another.
CREATE TEMP TABLE song_matches AS
SELECT
    title,
    artist_name,
    length,
    song_id,
    artist_id
FROM (
    SELECT
        played.title,
        played.artist_name,
        played.length,
        songs.song_id,
        songs.artist_id,
        ROW_NUMBER() OVER (
            PARTITION BY played.title, played.artist_name, played.length
            ORDER BY
                CASE WHEN songs.duration IS NULL THEN 1 ELSE 0 END,
                CASE WHEN played.length = -1 THEN 0 ELSE ABS(songs.duration - played.length) END,
                songs.song_id
        ) AS choice
    FROM (
        SELECT DISTINCT
            events.song AS title,
            events.artist AS artist_name,
            COALESCE(events.length, -1) AS length
        FROM staging.current_events AS events
        INNER JOIN analytics.songs
            ON events.song = songs.title
            AND events.artist = songs.artist_name
        WHERE events.page = 'NextSong' AND :pending_file_days(events.file_day)
        UNION
        SELECT DISTINCT
            songplays.title,
            songplays.artist_name,
            COALESCE(songplays.length, -1)
        FROM analytics.songplays
        INNER JOIN changed_titles
            ON songplays.title = changed_titles.title
            AND songplays.artist_name = changed_titles.artist_name
    ) AS played
    INNER JOIN analytics.songs
        ON played.title = songs.title
        AND played.artist_name = songs.artist_name
) AS candidates
WHERE choice = 1;

DELETE FROM analytics.songplays
WHERE file_day IN (SELECT changed_day FROM pending);

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
LEFT JOIN song_matches
    ON events.song = song_matches.title
    AND events.artist = song_matches.artist_name
    AND COALESCE(events.length, -1) = song_matches.length
WHERE events.page = 'NextSong' AND :pending_file_days(events.file_day);

UPDATE analytics.songplays
SET song_id = NULL, artist_id = NULL
FROM changed_titles
WHERE
    songplays.title = changed_titles.title
    AND songplays.artist_name = changed_titles.artist_name
    AND songplays.song_id IS NOT NULL;

UPDATE analytics.songplays
SET song_id = matches.song_id, artist_id = matches.artist_id
FROM (
    SELECT
        song_matches.title,
        song_matches.artist_name,
        song_matches.length,
        song_matches.song_id,
        song_matches.artist_id
    FROM song_matches
    INNER JOIN changed_titles
        ON song_matches.title = changed_titles.title
        AND song_matches.artist_name = changed_titles.artist_name
) AS matches
WHERE
    songplays.title = matches.title
    AND songplays.artist_name = matches.artist_name
    AND COALESCE(songplays.length, -1) = matches.length;

ANALYZE analytics.songplays PREDICATE COLUMNS;



-- name: check
-- Looks at the plays between first_day and last_day (UTC, of start_time).
SELECT
    -- blocking: At least one row, and as many rows as there are NextSong events.
    COUNT(*) AS row_count,
    (
        SELECT GREATEST(COUNT(*), :least_rows)
        FROM staging.current_events
        WHERE page = 'NextSong' AND :between_days(ts)
    ) AS row_count_expected,
    -- blocking: No two rows with the same songplay_id.
    COUNT(plays.songplay_id) - COUNT(DISTINCT plays.songplay_id) AS unique_key,
    -- blocking: Every row has its songplay_id.
    COUNT(*) - COUNT(plays.songplay_id) AS key_not_null,
    -- error: level is one of: free, paid.
    COALESCE(SUM(CASE WHEN plays.level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_domain,
    -- error: Every user_id is in users.
    COUNT(plays.user_id) - COUNT(users.user_id) AS user_id_in_users,
    -- error: Every song_id is in songs.
    COUNT(plays.song_id) - COUNT(songs.song_id) AS song_id_in_songs,
    -- error: Every artist_id is in artists.
    COUNT(plays.artist_id) - COUNT(artists.artist_id) AS artist_id_in_artists,
    -- warning: Of at least 1 % of the plays the song is in the catalogue; the real data has about
    -- 5 %.
    CASE WHEN COUNT(plays.song_id) * 100 < COUNT(*) THEN 1 ELSE 0 END AS known_song_share,
    COUNT(plays.song_id) AS plays_of_known_songs
FROM analytics.songplays AS plays
LEFT JOIN (SELECT DISTINCT user_id FROM analytics.users) AS users
    ON plays.user_id = users.user_id
LEFT JOIN (
    -- Of a million songs few are played: the others are not held.
    SELECT DISTINCT song_id
    FROM analytics.songs
    WHERE song_id IN (SELECT song_id FROM analytics.songplays WHERE :between_days(start_time))
) AS songs
    ON plays.song_id = songs.song_id
LEFT JOIN (SELECT DISTINCT artist_id FROM analytics.artists) AS artists
    ON plays.artist_id = artists.artist_id
WHERE :between_days(plays.start_time);



-- name: check_level_domain
SELECT
    songplay_id,
    level
FROM analytics.songplays
WHERE level NOT IN ('free', 'paid')
ORDER BY songplay_id
LIMIT 10;
