-- name: create
-- One row per change of a user's level: an event on another level than the user's event before it.
CREATE TABLE IF NOT EXISTS analytics.level_changes (
    changed_at TIMESTAMP NOT NULL,           -- first event on the new level, UTC
    user_id VARCHAR(32) NOT NULL,            -- who changed; joins users
    from_level VARCHAR(16) NOT NULL,         -- free or paid, before
    to_level VARCHAR(16) NOT NULL,           -- free or paid, from then on
    change_number INTEGER NOT NULL,          -- counts the user's changes from 1
    first_seen_at TIMESTAMP NOT NULL,        -- the user's first event, UTC
    hours_since_first_seen INTEGER NOT NULL  -- full hours from there to the change: time to upgrade
)
DISTSTYLE ALL
SORTKEY (changed_at);



-- name: create_event_days
-- The UTC days whose events lie in each event file; as a rule the file's own day alone.
CREATE TABLE IF NOT EXISTS staging.event_days (
    file_day DATE NOT NULL,  -- the day in the file's name
    event_day DATE NOT NULL  -- UTC day of an event's time
)
DISTSTYLE ALL;



-- name: create_user_levels
-- One row per user, day and stretch of events on one level: what level_changes is built from,
-- without reading all events again.
CREATE TABLE IF NOT EXISTS staging.user_levels (
    user_id VARCHAR(32) NOT NULL,   -- never empty
    event_day DATE NOT NULL,        -- UTC day of the events' time
    stretch INTEGER NOT NULL,       -- counts up within user and day
    started_at TIMESTAMP NOT NULL,  -- time of its first event, UTC
    level VARCHAR(16) NOT NULL      -- free or paid
)
DISTKEY (user_id)
SORTKEY (event_day);



-- name: load
-- The days (UTC, of the events) to build again: those that were in the changed files; those that
-- are now in them follow. Going by file alone would tear a user's day apart where two files share
-- it.
CREATE TEMP TABLE pending_event_days AS
SELECT DISTINCT event_day
FROM staging.event_days
WHERE file_day IN (SELECT changed_day FROM pending);

DELETE FROM staging.event_days
WHERE file_day IN (SELECT changed_day FROM pending);

INSERT INTO staging.event_days (file_day, event_day)
SELECT DISTINCT
    file_day,
    CAST(ts AS DATE)
FROM staging.staging_events
WHERE :pending_file_days(file_day);

INSERT INTO pending_event_days (event_day)
SELECT DISTINCT event_day
FROM staging.event_days
WHERE file_day IN (SELECT changed_day FROM pending);

-- Who was seen on these days before this load; those seen now follow.
CREATE TEMP TABLE affected_users AS
SELECT DISTINCT user_id
FROM staging.user_levels
WHERE event_day IN (SELECT event_day FROM pending_event_days);

DELETE FROM staging.user_levels
WHERE event_day IN (SELECT event_day FROM pending_event_days);

-- The events of these days that tell a user's level.
CREATE TEMP TABLE user_events AS
SELECT
    user_id,
    CAST(ts AS DATE) AS event_day,
    ts,
    session_id,
    item_in_session,
    level
FROM staging.current_events
WHERE
    file_day IN (
        SELECT file_day
        FROM staging.event_days
        WHERE event_day IN (SELECT event_day FROM pending_event_days)
    )
    AND CAST(ts AS DATE) IN (SELECT event_day FROM pending_event_days)
    AND user_id <> ''
    AND level IS NOT NULL;

-- Most users keep their level all day; only the days of the others have to be put in order.
INSERT INTO staging.user_levels (user_id, event_day, stretch, started_at, level)
SELECT
    user_id,
    event_day,
    1,
    MIN(ts),
    MIN(level)
FROM user_events
GROUP BY user_id, event_day
HAVING MIN(level) = MAX(level)
UNION ALL
SELECT
    user_id,
    event_day,
    ROW_NUMBER() OVER (
        PARTITION BY user_id, event_day
        ORDER BY ts, session_id, item_in_session
    ),
    ts,
    level
FROM (
    SELECT
        events.user_id,
        events.event_day,
        events.ts,
        events.session_id,
        events.item_in_session,
        events.level,
        LAG(events.level) OVER (
            PARTITION BY events.user_id, events.event_day
            ORDER BY events.ts, events.session_id, events.item_in_session
        ) AS level_before
    FROM user_events AS events
    INNER JOIN (
        SELECT
            user_id,
            event_day
        FROM user_events
        GROUP BY user_id, event_day
        HAVING MIN(level) <> MAX(level)
    ) AS mixed_days
        ON events.user_id = mixed_days.user_id
        AND events.event_day = mixed_days.event_day
) AS ordered_events
WHERE level_before IS NULL OR level_before <> level;

INSERT INTO affected_users (user_id)
SELECT DISTINCT user_id
FROM user_events;

DELETE FROM analytics.level_changes
WHERE user_id IN (SELECT user_id FROM affected_users);

INSERT INTO analytics.level_changes (
    changed_at, user_id, from_level, to_level, change_number, first_seen_at,
    hours_since_first_seen
)
SELECT
    started_at,
    user_id,
    level_before,
    level,
    ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY event_day, stretch),
    first_seen_at,
    DATEDIFF(SECOND, first_seen_at, started_at) / 3600
FROM (
    SELECT
        user_id,
        event_day,
        stretch,
        started_at,
        level,
        LAG(level) OVER (PARTITION BY user_id ORDER BY event_day, stretch) AS level_before,
        MIN(started_at) OVER (PARTITION BY user_id) AS first_seen_at
    FROM staging.user_levels
    WHERE user_id IN (SELECT user_id FROM affected_users)
) AS stretches
WHERE level_before <> level;



-- name: check
-- The plays of the last check are looked at between first_day and last_day.
SELECT
    -- blocking: No two rows with the same user_id and change_number.
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
    ) AS unique_key,
    -- error: Every user's latest change led to the level that users has.
    COALESCE(
        SUM(CASE WHEN users.user_id IS NULL OR changes.to_level <> users.level THEN 1 ELSE 0 END),
        0
    ) AS levels_reconcile,
    -- error: Every listener with plays on both levels has a change.
    (
        SELECT COUNT(*)
        FROM (
            SELECT user_id
            FROM analytics.songplays
            WHERE
                user_id NOT IN (SELECT user_id FROM analytics.level_changes)
                AND :between_days(start_time)
            GROUP BY user_id
            HAVING MIN(level) <> MAX(level)
        ) AS changed_listeners
    ) AS plays_reconcile
FROM (
    SELECT
        user_id,
        to_level,
        ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY change_number DESC) AS recency
    FROM analytics.level_changes
) AS changes
LEFT JOIN analytics.users
    ON changes.user_id = users.user_id
WHERE changes.recency = 1;



-- name: check_levels_reconcile
SELECT
    changes.user_id,
    changes.to_level,
    users.level
FROM analytics.level_changes AS changes
INNER JOIN (
    SELECT
        user_id,
        MAX(change_number) AS change_number
    FROM analytics.level_changes
    GROUP BY user_id
) AS latest
    ON changes.user_id = latest.user_id AND changes.change_number = latest.change_number
LEFT JOIN analytics.users
    ON changes.user_id = users.user_id
WHERE users.user_id IS NULL OR changes.to_level <> users.level
ORDER BY changes.user_id
LIMIT 10;

-- name: check_plays_reconcile
SELECT
    user_id,
    MIN(level) AS one_level,
    MAX(level) AS other_level
FROM analytics.songplays
WHERE user_id NOT IN (SELECT user_id FROM analytics.level_changes)
GROUP BY user_id
HAVING MIN(level) <> MAX(level)
ORDER BY user_id
LIMIT 10;



-- name: report
-- The latest changes, newest first.
SELECT
    changed_at,
    user_id,
    from_level,
    to_level,
    hours_since_first_seen,
    (SELECT COUNT(*) FROM analytics.level_changes) AS row_count
FROM analytics.level_changes
ORDER BY changed_at DESC, user_id, change_number DESC
LIMIT 10;



-- name: report_days
-- The latest days, newest first.
SELECT
    CAST(changed_at AS DATE) AS day,
    SUM(CASE WHEN to_level = 'paid' THEN 1 ELSE 0 END) AS upgrades,
    SUM(CASE WHEN to_level = 'free' THEN 1 ELSE 0 END) AS downgrades
FROM analytics.level_changes
GROUP BY CAST(changed_at AS DATE)
ORDER BY CAST(changed_at AS DATE) DESC
LIMIT 366;



-- name: report_totals
SELECT
    COALESCE(SUM(CASE WHEN to_level = 'paid' THEN 1 ELSE 0 END), 0) AS upgrades,
    COALESCE(SUM(CASE WHEN to_level = 'free' THEN 1 ELSE 0 END), 0) AS downgrades
FROM analytics.level_changes;



-- name: report_time_to_upgrade
-- Users by the full days from their first event to their first upgrade.
SELECT
    hours_since_first_seen / 24 AS days_to_upgrade,
    COUNT(*) AS users
FROM analytics.level_changes
WHERE change_number = 1 AND to_level = 'paid'
GROUP BY hours_since_first_seen / 24
ORDER BY hours_since_first_seen / 24;
