-- Plays are looked at as a whole, or for the days between the first and the last that
-- the latest load of songplays changed.
SELECT
    (
        SELECT COUNT(*)
        FROM (
            SELECT
                user_id,
                change_number
            FROM analytics.level_changes
            GROUP BY user_id, change_number
            HAVING COUNT(*) > 1
        ) AS repeated
    ) AS duplicate_keys,
    (
        SELECT COUNT(*)
        FROM (
            SELECT user_id
            FROM analytics.songplays
            WHERE
                user_id NOT IN (SELECT user_id FROM analytics.level_changes)
                AND (
                    :whole_table
                    OR (
                        start_time >= CAST(:first_day AS DATE)
                        AND start_time < CAST(:last_day AS DATE) + 1
                    )
                )
            GROUP BY user_id
            HAVING MIN(level) <> MAX(level)
        ) AS changed_listeners
    ) AS listeners_without_their_change,
    COALESCE(
        SUM(CASE WHEN users.user_id IS NULL OR changes.to_level <> users.level THEN 1 ELSE 0 END),
        0
    ) AS latest_level_not_in_users
FROM (
    SELECT
        user_id,
        to_level,
        ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY change_number DESC) AS recency
    FROM analytics.level_changes
) AS changes
LEFT JOIN analytics.users
    ON changes.user_id = users.user_id
WHERE changes.recency = 1
