UPDATE analytics.songplays
SET song_id = NULL, artist_id = NULL
FROM changed_titles
WHERE
    songplays.title = changed_titles.title
    AND songplays.artist_name = changed_titles.artist_name
    AND songplays.song_id IS NOT NULL
