-- Each user as of the latest event by time; of events at the same moment, the later in session order.
INSERT INTO analytics.users (user_id, first_name, last_name, gender, level)
SELECT
    user_id,
    first_name,
    last_name,
    gender,
    level
FROM (
    SELECT
        user_id,
        first_name,
        last_name,
        gender,
        level,
        ROW_NUMBER() OVER (
            PARTITION BY user_id
            ORDER BY ts DESC, session_id DESC, item_in_session DESC
        ) AS recency
    FROM staging.user_days
    WHERE :is_full OR user_id IN (SELECT user_id FROM affected_users)
) AS latest_days
WHERE recency = 1
