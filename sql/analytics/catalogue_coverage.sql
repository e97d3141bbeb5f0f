-- name: create
-- One row per day with plays.
CREATE TABLE IF NOT EXISTS analytics.catalogue_coverage (
    day DATE NOT NULL,                        -- UTC day of the plays' start_time
    plays BIGINT NOT NULL,                    -- songs played
    matched_plays BIGINT NOT NULL,            -- of these, with a song of the catalogue
    unmatched_plays BIGINT NOT NULL,          -- of these, without
    matched_share DOUBLE PRECISION NOT NULL,  -- matched_plays of plays, to 4 decimals
    top_unmatched_title VARCHAR(256),         -- song played most without a match, as logged
    top_unmatched_artist VARCHAR(256),        -- its artist; of several songs, the first by name
    top_unmatched_plays BIGINT NOT NULL       -- how often it was played; 0 where all plays match
)
DISTSTYLE ALL
SORTKEY (day);



-- name: load
CREATE TEMP TABLE unmatched_songs AS
SELECT
    CAST(start_time AS DATE) AS play_day,
    title,
    artist_name,
    COUNT(*) AS plays
FROM analytics.songplays
WHERE song_id IS NULL AND :pending_days(start_time)
GROUP BY CAST(start_time AS DATE), title, artist_name;

DELETE FROM analytics.catalogue_coverage
WHERE day IN (SELECT changed_day FROM pending);

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
    WHERE :pending_days(start_time)
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
    AND top_songs.place = 1;



-- name: check
-- Days are compared one by one, between first_day and last_day.
SELECT
    -- blocking: No two rows with the same day.
    (SELECT COUNT(*) - COUNT(DISTINCT day) FROM analytics.catalogue_coverage) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    (SELECT COALESCE(SUM(plays), 0) FROM analytics.catalogue_coverage) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected,
    -- error: Every day's plays, and those with a song of the catalogue, are those of songplays.
    COALESCE(
        SUM(
            CASE
                WHEN
                    summed.plays = counted.plays
                    AND summed.matched_plays = counted.matched_plays
                    THEN 0
                ELSE 1
            END
        ),
        0
    ) AS days_reconcile,
    COUNT(*) AS days
FROM (
    SELECT
        day,
        plays,
        matched_plays
    FROM analytics.catalogue_coverage
    WHERE day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
) AS summed
FULL JOIN (
    SELECT
        CAST(start_time AS DATE) AS day,
        COUNT(*) AS plays,
        COUNT(song_id) AS matched_plays
    FROM analytics.songplays
    WHERE :between_days(start_time)
    GROUP BY CAST(start_time AS DATE)
) AS counted
    ON summed.day = counted.day;



-- name: check_days_reconcile
SELECT
    summed.day,
    summed.plays,
    COUNT(plays.songplay_id) AS songplays_rows,
    summed.matched_plays,
    COUNT(plays.song_id) AS songplays_matched
FROM analytics.catalogue_coverage AS summed
LEFT JOIN analytics.songplays AS plays
    ON summed.day = CAST(plays.start_time AS DATE)
GROUP BY summed.day, summed.plays, summed.matched_plays
HAVING summed.plays <> COUNT(plays.songplay_id) OR summed.matched_plays <> COUNT(plays.song_id)
ORDER BY summed.day
LIMIT 10;



-- name: report
-- The latest days, newest first.
SELECT
    day,
    plays,
    matched_plays,
    matched_share,
    top_unmatched_title,
    top_unmatched_artist,
    top_unmatched_plays,
    (SELECT COUNT(*) FROM analytics.catalogue_coverage) AS row_count
FROM analytics.catalogue_coverage
ORDER BY day DESC
LIMIT 366;



-- name: report_totals
SELECT
    COALESCE(SUM(plays), 0) AS plays,
    COALESCE(SUM(matched_plays), 0) AS matched_plays
FROM analytics.catalogue_coverage;
