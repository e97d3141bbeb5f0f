-- The share is rounded as a whole number of ten-thousandths, which every engine does alike.
INSERT INTO analytics.catalogue_coverage (
    day, plays, matched_plays, unmatched_plays, matched_share,
    top_unmatched_title, top_unmatched_artist, top_unmatched_plays
)
SELECT
    days.play_day,
    days.plays,
    days.matched_plays,
    days.plays - days.matched_plays,
    CAST((10000 * days.matched_plays + days.plays / 2) / days.plays AS DOUBLE PRECISION) / 10000,
    top_songs.title,
    top_songs.artist_name,
    COALESCE(top_songs.plays, 0)
FROM (
    SELECT
        CAST(start_time AS DATE) AS play_day,
        COUNT(*) AS plays,
        COUNT(song_id) AS matched_plays
    FROM analytics.songplays
    WHERE
        start_time >= (SELECT MIN(play_day) FROM pending_days)
        AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
        AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
    GROUP BY CAST(start_time AS DATE)
) AS days
LEFT JOIN (
    SELECT
        songs.play_day,
        songs.title,
        songs.artist_name,
        songs.plays,
        ROW_NUMBER() OVER (
            PARTITION BY songs.play_day
            ORDER BY songs.artist_name, songs.title
        ) AS place
    FROM unmatched_songs AS songs
    INNER JOIN (
        SELECT
            play_day,
            MAX(plays) AS plays
        FROM unmatched_songs
        GROUP BY play_day
    ) AS most
        ON songs.play_day = most.play_day
        AND songs.plays = most.plays
) AS top_songs
    ON days.play_day = top_songs.play_day
    AND top_songs.place = 1
