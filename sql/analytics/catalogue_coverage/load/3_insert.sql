-- A sum of BIGINTs is a decimal in Redshift, which does not divide as whole numbers do.
INSERT INTO analytics.catalogue_coverage (
    day, plays, matched_plays, unmatched_plays, matched_share,
    top_unmatched_title, top_unmatched_artist, top_unmatched_plays
)
SELECT
    play_day,
    SUM(plays),
    SUM(matched_plays),
    SUM(unmatched_plays),
    CAST(
        (10000 * CAST(SUM(matched_plays) AS BIGINT) + CAST(SUM(plays) AS BIGINT) / 2)
        / CAST(SUM(plays) AS BIGINT) AS DOUBLE PRECISION
    ) / 10000,
    MAX(CASE WHEN place = 1 AND unmatched_plays > 0 THEN title END),
    MAX(CASE WHEN place = 1 AND unmatched_plays > 0 THEN artist_name END),
    MAX(unmatched_plays)
FROM (
    SELECT
        play_day,
        title,
        artist_name,
        plays,
        matched_plays,
        plays - matched_plays AS unmatched_plays,
        ROW_NUMBER() OVER (
            PARTITION BY play_day
            ORDER BY plays - matched_plays DESC, artist_name, title
        ) AS place
    FROM (
        SELECT
            CAST(start_time AS DATE) AS play_day,
            title,
            artist_name,
            COUNT(*) AS plays,
            COUNT(song_id) AS matched_plays
        FROM analytics.songplays
        WHERE CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
        GROUP BY CAST(start_time AS DATE), title, artist_name
    ) AS songs_of_day
) AS placed
GROUP BY play_day
