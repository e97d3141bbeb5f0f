-- The days (UTC, of start_time) whose plays differ after this load.
-- Run before and after the rows are exchanged.
INSERT INTO staging.load_changes (table_name, load_id, changed_day)
SELECT
    'songplays',
    :load_id,
    play_day
FROM (
    SELECT CAST(start_time AS DATE) AS play_day
    FROM analytics.songplays
    WHERE file_day IN (SELECT file_day FROM pending_days)
    UNION
    SELECT CAST(songplays.start_time AS DATE) AS play_day
    FROM analytics.songplays
    INNER JOIN changed_titles
        ON songplays.title = changed_titles.title
        AND songplays.artist_name = changed_titles.artist_name
) AS changed
WHERE NOT :is_full
