-- name: create
-- One row per user who appears in any event, as of the user's latest event.
-- Small and joined by everything, so every node keeps a copy.
CREATE TABLE IF NOT EXISTS analytics.users (
    user_id VARCHAR(32) NOT NULL,  -- the user
    first_name VARCHAR(256),       -- given name
    last_name VARCHAR(256),        -- family name
    gender VARCHAR(16),            -- F or M
    level VARCHAR(16)              -- free or paid, at the latest event
)
DISTSTYLE ALL
SORTKEY (user_id);



-- name: create_user_days
-- One row per user and file day: the user's latest event of that day.
-- The summary that users is built from without reading all events again. Dealt out by user, whose
-- days are compared; sorted by day, as days are replaced.
CREATE TABLE IF NOT EXISTS staging.user_days (
    user_id VARCHAR(32) NOT NULL,      -- never empty
    file_day DATE NOT NULL,            -- the day in the event file's name
    ts TIMESTAMP NOT NULL,             -- time of the latest event, UTC
    session_id BIGINT NOT NULL,        -- with item_in_session, the event itself
    item_in_session INTEGER NOT NULL,  -- position of the event in its session
    first_name VARCHAR(256),           -- as the event has it
    last_name VARCHAR(256),            -- as the event has it
    gender VARCHAR(16),                -- as the event has it
    level VARCHAR(16)                  -- as the event has it
)
DISTKEY (user_id)
SORTKEY (file_day);



-- name: load
-- Who was seen on these days before this load; those seen now follow.
CREATE TEMP TABLE affected_users AS
SELECT DISTINCT user_id
FROM staging.user_days
WHERE file_day IN (SELECT changed_day FROM pending);

DELETE FROM staging.user_days
WHERE file_day IN (SELECT changed_day FROM pending);

-- Each user's latest event of each day. Few events share a moment, so the window sorts hardly more
-- rows than there are users and days, not all events.
INSERT INTO staging.user_days (
    user_id, file_day, ts, session_id, item_in_session, first_name, last_name, gender, level
)
SELECT
    user_id,
    file_day,
    ts,
    session_id,
    item_in_session,
    first_name,
    last_name,
    gender,
    level
FROM (
    SELECT
        events.user_id,
        events.file_day,
        events.ts,
        events.session_id,
        events.item_in_session,
        events.first_name,
        events.last_name,
        events.gender,
        events.level,
        ROW_NUMBER() OVER (
            PARTITION BY events.user_id, events.file_day
            ORDER BY events.session_id DESC, events.item_in_session DESC
        ) AS recency
    FROM staging.current_events AS events
    INNER JOIN (
        SELECT
            user_id,
            file_day,
            MAX(ts) AS ts
        FROM staging.current_events
        WHERE :pending_file_days(file_day) AND user_id <> ''
        GROUP BY user_id, file_day
    ) AS latest
        ON events.user_id = latest.user_id
        AND events.file_day = latest.file_day
        AND events.ts = latest.ts
) AS latest_events
WHERE recency = 1;

INSERT INTO affected_users (user_id)
SELECT DISTINCT user_id
FROM staging.user_days
WHERE file_day IN (SELECT changed_day FROM pending);

DELETE FROM analytics.users
WHERE user_id IN (SELECT user_id FROM affected_users);

-- Each user as of the latest event by time; of events at the same moment, the later in session
-- order.
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
    WHERE user_id IN (SELECT user_id FROM affected_users)
) AS latest_days
WHERE recency = 1;



-- name: check
SELECT
    -- blocking: At least one row, and as many rows as the events have distinct users.
    COUNT(*) AS row_count,
    (SELECT GREATEST(COUNT(DISTINCT user_id), :least_rows) FROM staging.user_days)
        AS row_count_expected,
    -- blocking: No two rows with the same user_id.
    COUNT(user_id) - COUNT(DISTINCT user_id) AS unique_key,
    -- blocking: Every row has its user_id.
    COUNT(*) - COUNT(user_id) AS key_not_null,
    -- error: level is one of: free, paid.
    COALESCE(SUM(CASE WHEN level NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0) AS level_domain,
    -- error: gender is one of: F, M.
    COALESCE(SUM(CASE WHEN gender NOT IN ('F', 'M') THEN 1 ELSE 0 END), 0) AS gender_domain
FROM analytics.users;



-- name: check_level_domain
SELECT
    user_id,
    level
FROM analytics.users
WHERE level NOT IN ('free', 'paid')
ORDER BY user_id
LIMIT 10;

-- name: check_gender_domain
SELECT
    user_id,
    gender
FROM analytics.users
WHERE gender NOT IN ('F', 'M')
ORDER BY user_id
LIMIT 10;
