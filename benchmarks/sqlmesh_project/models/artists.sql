MODEL (
  name analytics.artists,
  kind FULL,
  audits (
    row_count(expected := (SELECT COUNT(DISTINCT artist_id) FROM staging.staging_songs)),
    unique_values(columns := (artist_id)),
    not_null(columns := (artist_id))
  ),
  depends_on (staging.staging_songs)
);

SELECT
  artist_id,
  artist_name AS name,
  NULLIF(artist_location, '') AS location,
  artist_latitude AS latitude,
  artist_longitude AS longitude
FROM staging.current_songs
WHERE NOT artist_id IS NULL
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY artist_id
    ORDER BY
      COALESCE(artist_location, '') = '', artist_latitude IS NULL, song_id, source_file,
      artist_name, artist_location, artist_latitude, artist_longitude
  ) = 1
