-- The days whose events differ after this load: those it reads, and those that hold another copy
-- of an event it reads or removes, as that copy may now count or no longer count.
-- Run before and after the rows are exchanged.
INSERT INTO staging.load_changes (table_name, load_id, changed_day)
SELECT
    'staging_events',
    :load_id,
    file_day
FROM (
    SELECT file_day FROM replaced_files
    UNION
    SELECT file_day FROM new_files
    UNION
    SELECT other_copy.file_day
    FROM staging.repeated_events AS copy
    INNER JOIN staging.repeated_events AS other_copy
        ON copy.session_id = other_copy.session_id
        AND copy.item_in_session = other_copy.item_in_session
    WHERE
        copy.file_day IN (SELECT file_day FROM replaced_files)
        OR copy.file_day IN (SELECT file_day FROM new_files)
) AS changed
WHERE NOT :is_full
