MODEL (
  name analytics.songplays,
  kind INCREMENTAL_BY_TIME_RANGE (time_column file_day),
  audits (
    row_count(
      expected := (
        SELECT COUNT(*) FROM staging.current_events
        WHERE page = 'NextSong' AND file_day BETWEEN @start_ds AND @end_ds
      )
    ),
    unique_values(columns := (songplay_id)),
    not_null(columns := (songplay_id)),
    accepted_values(column := level, is_in := ('free', 'paid')),
    relationship(parent := analytics.users, column := user_id),
    relationship(parent := analytics.songs, column := song_id),
    relationship(parent := analytics.artists, column := artist_id),
    known_song_share
  ),
  depends_on (analytics.users, analytics.artists)
);

WITH events AS (
  SELECT *
  FROM staging.current_events
  WHERE page = 'NextSong' AND file_day BETWEEN @start_ds AND @end_ds
),
matches AS (
  SELECT played.song, played.artist, played.length, songs.song_id, songs.artist_id
  FROM (
    SELECT DISTINCT song, artist, COALESCE(length, -1) AS length FROM events
  ) AS played
  INNER JOIN analytics.songs AS songs
    ON played.song = songs.title AND played.artist = songs.artist_name
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY song, artist, length
      ORDER BY duration IS NULL, ABS(duration - length), songs.song_id
    ) = 1
)
SELECT
  MD5(session_id || '-' || item_in_session) AS songplay_id,
  ts AS start_time,
  NULLIF(user_id, '') AS user_id,
  level,
  song_id,
  artist_id,
  session_id,
  location,
  user_agent,
  item_in_session,
  events.song AS title,
  events.artist AS artist_name,
  events.length,
  file_day
FROM events
LEFT JOIN matches
  ON events.song = matches.song
  AND events.artist = matches.artist
  AND COALESCE(events.length, -1) = matches.length
