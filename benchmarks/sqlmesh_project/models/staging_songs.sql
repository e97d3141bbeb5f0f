MODEL (
  name staging.staging_songs,
  kind FULL,
  audits (
    row_count(expected := COUNT(*)),
    unique_values(columns := (song_id), blocking := false)
  )
);

SELECT
  song.artist_id,
  song.artist_latitude,
  song.artist_longitude,
  song.artist_location,
  song.artist_name,
  song.duration,
  song.num_songs,
  song.song_id,
  song.title,
  song.year,
  source_file
FROM (
  SELECT
    FROM_JSON_STRICT(content, '{"artist_id": "VARCHAR", "artist_latitude": "DOUBLE", "artist_longitude": "DOUBLE", "artist_location": "VARCHAR", "artist_name": "VARCHAR", "duration": "DOUBLE", "num_songs": "INTEGER", "song_id": "VARCHAR", "title": "VARCHAR", "year": "INTEGER"}') AS song,
    SUBSTRING(filename, LENGTH(@lake) + 2) AS source_file
  FROM READ_TEXT(@lake || '/song_data/**/*.json')
) AS files
