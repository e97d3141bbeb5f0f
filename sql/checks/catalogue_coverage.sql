-- Day by day for the whole table, or for the days that the latest load of songplays changed.
SELECT
    COALESCE(SUM(plays), 0) AS total_plays,
    (SELECT COUNT(*) FROM analytics.songplays) AS songplays_rows,
    COALESCE(SUM(matched_plays), 0) AS total_matched_plays,
    (SELECT COUNT(song_id) FROM analytics.songplays) AS songplays_matched,
    COUNT(*) - COUNT(DISTINCT day) AS duplicate_keys,
    (
        SELECT COUNT(*)
        FROM (
            SELECT day
            FROM (
                SELECT
                    day,
                    plays,
                    matched_plays
                FROM analytics.catalogue_coverage
                WHERE
                    :whole_table
                    OR day IN (
                        SELECT changed_day
                        FROM staging.load_changes
                        WHERE table_name = 'songplays' AND load_id = :load_id
                    )
                UNION ALL
                SELECT
                    CAST(start_time AS DATE) AS day,
                    -COUNT(*) AS plays,
                    -COUNT(song_id) AS matched_plays
                FROM analytics.songplays
                WHERE
                    :whole_table
                    OR CAST(start_time AS DATE) IN (
                        SELECT changed_day
                        FROM staging.load_changes
                        WHERE table_name = 'songplays' AND load_id = :load_id
                    )
                GROUP BY CAST(start_time AS DATE)
            ) AS both_sides
            GROUP BY day
            HAVING SUM(plays) <> 0 OR SUM(matched_plays) <> 0
        ) AS differing
    ) AS days_that_differ
FROM analytics.catalogue_coverage
