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
        INNER JOIN pending_days
            ON events.file_day = pending_days.file_day
        INNER JOIN analytics.songs
            ON events.song = songs.title
            AND events.artist = songs.artist_name
        WHERE events.page = 'NextSong'
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
WHERE choice = 1
