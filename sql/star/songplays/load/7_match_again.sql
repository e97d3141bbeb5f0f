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
    AND COALESCE(songplays.length, -1) = matches.length
