-- Looks at the whole table, or at the days (UTC, of start_time) between the first and the
-- last that the latest load changed.
SELECT
    COUNT(*) AS row_count,
    (
        SELECT COUNT(*)
        FROM staging.current_events
        WHERE
            page = 'NextSong'
            AND (
                :whole_table
                OR (
                    ts >= CAST(:first_day AS DATE)
                    AND ts < CAST(:last_day AS DATE) + 1
                )
            )
    ) AS expected_row_count,
    COUNT(plays.songplay_id) - COUNT(DISTINCT plays.songplay_id) AS duplicate_keys,
    COUNT(*) - COUNT(plays.songplay_id) AS null_keys,
    COALESCE(SUM(CASE WHEN plays.level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_outside_domain,
    COUNT(plays.user_id) - COUNT(users.user_id) AS user_id_missing_in_users,
    COUNT(plays.song_id) - COUNT(songs.song_id) AS song_id_missing_in_songs,
    COUNT(plays.artist_id) - COUNT(artists.artist_id) AS artist_id_missing_in_artists,
    COUNT(plays.song_id) AS plays_of_known_songs
FROM analytics.songplays AS plays
LEFT JOIN (SELECT DISTINCT user_id FROM analytics.users) AS users
    ON plays.user_id = users.user_id
LEFT JOIN (SELECT DISTINCT song_id FROM analytics.songs) AS songs
    ON plays.song_id = songs.song_id
LEFT JOIN (SELECT DISTINCT artist_id FROM analytics.artists) AS artists
    ON plays.artist_id = artists.artist_id
WHERE
    :whole_table
    OR (
        plays.start_time >= CAST(:first_day AS DATE)
        AND plays.start_time < CAST(:last_day AS DATE) + 1
    )
