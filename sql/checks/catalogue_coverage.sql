-- Days are compared one by one: all of them, or those between the first and the last
-- that the latest load of songplays changed.
SELECT
    (SELECT COALESCE(SUM(plays), 0) FROM analytics.catalogue_coverage) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    (SELECT COUNT(*) - COUNT(DISTINCT day) FROM analytics.catalogue_coverage) AS duplicate_keys,
    COUNT(*) AS days,
    COALESCE(
        SUM(
            CASE
                WHEN
                    summed.plays = counted.plays
                    AND summed.matched_plays = counted.matched_plays
                    THEN 1
                ELSE 0
            END
        ),
        0
    ) AS days_that_agree
FROM (
    SELECT
        day,
        plays,
        matched_plays
    FROM analytics.catalogue_coverage
    WHERE
        :whole_table
        OR day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
) AS summed
FULL JOIN (
    SELECT
        CAST(start_time AS DATE) AS day,
        COUNT(*) AS plays,
        COUNT(song_id) AS matched_plays
    FROM analytics.songplays
    WHERE
        :whole_table
        OR (
            start_time >= CAST(:first_day AS DATE)
            AND start_time < CAST(:last_day AS DATE) + 1
        )
    GROUP BY CAST(start_time AS DATE)
) AS counted
    ON summed.day = counted.day
