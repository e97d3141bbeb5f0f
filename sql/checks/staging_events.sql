SELECT
    (SELECT COUNT(*) FROM staging.staging_events) AS row_count,
    (
        SELECT COALESCE(SUM(COALESCE(line_count, row_count)), 0)
        FROM staging.loaded_files
        WHERE table_name = 'staging_events'
    ) AS expected_row_count,
    (
        SELECT COUNT(*)
        FROM (
            SELECT DISTINCT session_id, item_in_session
            FROM staging.repeated_events
        ) AS events
    ) AS repeated_events,
    COALESCE(SUM(CASE WHEN level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_outside_domain,
    COALESCE(SUM(CASE WHEN gender NOT IN ('F', 'M') THEN 1 ELSE 0 END), 0)
        AS gender_outside_domain
FROM staging.staging_events
WHERE
    :whole_table
    OR file_day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
