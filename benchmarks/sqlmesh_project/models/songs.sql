MODEL (
  name analytics.songs,
  kind FULL,
  audits (
    row_count(expected := (SELECT COUNT(DISTINCT song_id) FROM staging.staging_songs)),
    unique_values(columns := (song_id)),
    not_null(columns := (song_id))
  ),
  depends_on (staging.staging_songs)
);

SELECT song_id, title, artist_id, NULLIF(year, 0) AS year, duration, artist_name
FROM staging.current_songs
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY song_id ORDER BY source_file, title, artist_id, year, duration, artist_name
  ) = 1
