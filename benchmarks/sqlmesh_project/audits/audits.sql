AUDIT (
  name row_count
);
SELECT *
FROM (SELECT COUNT(*) AS row_count, @expected AS expected_row_count FROM @this_model) AS counted
WHERE row_count = 0 OR row_count <> expected_row_count;

AUDIT (
  name relationship
);
SELECT * FROM @this_model AS this_model
ANTI JOIN @parent AS parent ON this_model.@column = parent.@column
WHERE NOT this_model.@column IS NULL;

AUDIT (
  name covers_songplays
);
SELECT * FROM analytics.songplays AS songplays
ANTI JOIN @this_model AS moments ON songplays.start_time = moments.start_time;

AUDIT (
  name event_once,
  blocking false
);
SELECT * FROM @this_model;

AUDIT (
  name known_song_share,
  blocking false
);
SELECT *
FROM (
  SELECT COUNT(song_id) AS plays_of_known_songs, COUNT(*) AS row_count FROM @this_model
) AS counted
WHERE plays_of_known_songs < 0.01 * row_count;
