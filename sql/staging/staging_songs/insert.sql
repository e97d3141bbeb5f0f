INSERT INTO staging.staging_songs (
    artist_id, artist_latitude, artist_longitude, artist_location, artist_name,
    duration, num_songs, song_id, title, year, source_file
)
SELECT
    artist_id,
    artist_latitude,
    artist_longitude,
    artist_location,
    artist_name,
    duration,
    num_songs,
    song_id,
    title,
    year,
    source_file
FROM landing_songs
