MODEL (
  name analytics.time,
  kind FULL,
  audits (
    row_count(expected := (SELECT COUNT(DISTINCT start_time) FROM analytics.songplays)),
    unique_values(columns := (start_time)),
    not_null(columns := (start_time)),
    accepted_values(column := weekday, is_in := (0, 1, 2, 3, 4, 5, 6)),
    covers_songplays
  )
);

SELECT
  start_time,
  HOUR(start_time) AS hour,
  DAY(start_time) AS day,
  WEEK(start_time) AS week,
  MONTH(start_time) AS month,
  YEAR(start_time) AS year,
  DAYOFWEEK(start_time) AS weekday
FROM (SELECT DISTINCT start_time FROM analytics.songplays) AS moments
