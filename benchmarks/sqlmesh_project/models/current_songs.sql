/* Text has no trailing blanks. */
MODEL (
  name staging.current_songs,
  kind VIEW
);

SELECT * REPLACE (
  RTRIM(artist_id, ' ') AS artist_id,
  RTRIM(artist_location, ' ') AS artist_location,
  RTRIM(artist_name, ' ') AS artist_name,
  RTRIM(song_id, ' ') AS song_id,
  RTRIM(title, ' ') AS title
)
FROM staging.staging_songs
