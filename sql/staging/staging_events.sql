-- name: create
-- One row per line of the event files, nothing filtered.
-- Dealt out by session, as repeated events are told by it; sorted by day, as days are replaced.
CREATE TABLE IF NOT EXISTS staging.staging_events (
    artist VARCHAR(256),               -- artist of the song played, as logged; only on NextSong
    auth VARCHAR(32),                  -- Logged In or Logged Out
    first_name VARCHAR(256),           -- of the user; NULL when logged out
    gender VARCHAR(16),                -- F or M; NULL when logged out
    item_in_session INTEGER NOT NULL,  -- position of the event in its session, from 0
    last_name VARCHAR(256),            -- of the user; NULL when logged out
    length DOUBLE PRECISION,           -- seconds of the song played; only on NextSong
    level VARCHAR(16),                 -- free or paid
    location VARCHAR(512),             -- the user's metropolitan area
    method VARCHAR(16),                -- HTTP method
    page VARCHAR(64) NOT NULL,         -- page visited; NextSong is a play
    registration DOUBLE PRECISION,     -- when the user registered, milliseconds since 1970 UTC
    session_id BIGINT NOT NULL,        -- session of the event
    song VARCHAR(256),                 -- title of the song played, as logged; only on NextSong
    status INTEGER,                    -- HTTP status
    ts TIMESTAMP NOT NULL,             -- time of the event, UTC, to the millisecond
    user_agent VARCHAR(512),           -- browser, as logged
    user_id VARCHAR(32),               -- empty text when logged out
    file_day DATE NOT NULL             -- the day in the file's name, UTC: the partition
)
DISTKEY (session_id)
SORTKEY (file_day);



-- name: create_repeated_events
-- The events that lie in the files more than once, as a correction in a later file does.
-- Usually empty; it spares every reader of staging_events a sort over all of it.
CREATE TABLE IF NOT EXISTS staging.repeated_events (
    session_id BIGINT NOT NULL,        -- with item_in_session, the event
    item_in_session INTEGER NOT NULL,  -- position of the event in its session
    file_day DATE NOT NULL,            -- a day whose file holds it
    copies BIGINT NOT NULL             -- how often that file holds it
)
DISTKEY (session_id)
SORTKEY (session_id);



-- name: changes
-- The days whose events differ after this load: those it reads, and those that hold another copy
-- of an event it reads or removes, as that copy may now count or no longer count.
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
) AS changed;



-- name: all_changes
INSERT INTO pending (source_table, changed_day)
SELECT DISTINCT
    CAST('staging_events' AS VARCHAR(64)),
    file_day
FROM staging.staging_events;



-- name: before_copy
-- The sessions whose repeated events have to be looked for again; the new rows' sessions follow.
CREATE TEMP TABLE touched_sessions AS
SELECT DISTINCT session_id
FROM staging.repeated_events
WHERE file_day IN (SELECT file_day FROM replaced_files);



-- name: remove
DELETE FROM staging.staging_events
WHERE file_day IN (SELECT file_day FROM replaced_files);



-- name: landing
-- What COPY fills: the file's fields in the order of log_json_path.json, and the file, which is
-- added when files are combined.
CREATE TEMP TABLE landing_events (
    artist VARCHAR(256),
    auth VARCHAR(32),
    first_name VARCHAR(256),
    gender VARCHAR(16),
    item_in_session INTEGER NOT NULL,
    last_name VARCHAR(256),
    length DOUBLE PRECISION,
    level VARCHAR(16),
    location VARCHAR(512),
    method VARCHAR(16),
    page VARCHAR(64) NOT NULL,
    registration DOUBLE PRECISION,
    session_id BIGINT NOT NULL,
    song VARCHAR(256),
    status INTEGER,
    ts TIMESTAMP NOT NULL,
    user_agent VARCHAR(512),
    user_id VARCHAR(32),
    source_file VARCHAR(1024)
);



-- name: copy
COPY landing_events (
    artist, auth, first_name, gender, item_in_session, last_name, length, level, location,
    method, page, registration, session_id, song, status, ts, user_agent, user_id, source_file
)
FROM :manifest
IAM_ROLE :iam_role
FORMAT AS JSON :jsonpaths
MANIFEST
TIMEFORMAT 'epochmillisecs'
COMPUPDATE OFF
STATUPDATE OFF
MAXERROR :max_errors;



-- name: stamp
-- Says the file of the rows that a COPY loaded from it as it lies in the lake.
UPDATE landing_events
SET source_file = :source_file
WHERE source_file IS NULL;



-- name: insert
-- The day is in the last 22 characters of the name, as 2018-11-01-events.json.
INSERT INTO staging.staging_events (
    artist, auth, first_name, gender, item_in_session, last_name, length, level, location,
    method, page, registration, session_id, song, status, ts, user_agent, user_id, file_day
)
SELECT
    artist,
    auth,
    first_name,
    gender,
    item_in_session,
    last_name,
    length,
    level,
    location,
    method,
    page,
    registration,
    session_id,
    song,
    status,
    ts,
    user_agent,
    user_id,
    CAST(LEFT(RIGHT(REPLACE(source_file, '.gz', ''), 22), 10) AS DATE)
FROM landing_events;



-- name: after_copy
INSERT INTO touched_sessions (session_id)
SELECT DISTINCT session_id
FROM staging.staging_events
WHERE file_day IN (SELECT file_day FROM new_files);

DELETE FROM staging.repeated_events
WHERE session_id IN (SELECT session_id FROM touched_sessions);

INSERT INTO staging.repeated_events (session_id, item_in_session, file_day, copies)
SELECT
    events.session_id,
    events.item_in_session,
    events.file_day,
    COUNT(*)
FROM staging.staging_events AS events
INNER JOIN (
    SELECT
        session_id,
        item_in_session
    FROM staging.staging_events
    WHERE session_id IN (SELECT session_id FROM touched_sessions)
    GROUP BY session_id, item_in_session
    HAVING COUNT(*) > 1
) AS repeated
    ON events.session_id = repeated.session_id
    AND events.item_in_session = repeated.item_in_session
GROUP BY events.session_id, events.item_in_session, events.file_day;

-- COPY leaves the statistics as they were, and the plan of every table built from this one rests
-- on them. Redshift itself skips the work where less than a tenth of the rows has changed.
ANALYZE staging.staging_events PREDICATE COLUMNS;



-- name: remember_files
INSERT INTO staging.loaded_files (
    table_name, file_name, file_day, size_bytes, version, content_hash, line_count, row_count,
    run_id, loaded_at
)
SELECT
    'staging_events',
    new_files.file_name,
    new_files.file_day,
    new_files.size_bytes,
    new_files.version,
    new_files.content_hash,
    new_files.line_count,
    CASE
        WHEN ROW_NUMBER() OVER (PARTITION BY new_files.file_day ORDER BY new_files.file_name) = 1
            THEN COALESCE(counted.row_count, 0)
        ELSE 0
    END,
    :run_id,
    CAST(:loaded_at AS TIMESTAMP)
FROM new_files
LEFT JOIN (
    SELECT
        file_day,
        COUNT(*) AS row_count
    FROM staging.staging_events
    WHERE file_day IN (SELECT file_day FROM new_files)
    GROUP BY file_day
) AS counted
    ON new_files.file_day = counted.file_day;



-- name: check
-- The levels, genders and times are looked at between first_day and last_day.
SELECT
    -- blocking: At least one row, and as many rows as the event files have lines.
    (SELECT COUNT(*) FROM staging.staging_events) AS row_count,
    (
        SELECT GREATEST(COALESCE(SUM(COALESCE(line_count, row_count)), 0), :least_rows)
        FROM staging.loaded_files
        WHERE table_name = 'staging_events'
    ) AS row_count_expected,
    -- error: level is one of: free, paid.
    COALESCE(SUM(CASE WHEN RTRIM(level, ' ') NOT IN ('free', 'paid') THEN 1 ELSE 0 END), 0)
        AS level_domain,
    -- error: gender is one of: F, M.
    COALESCE(SUM(CASE WHEN RTRIM(gender, ' ') NOT IN ('F', 'M') THEN 1 ELSE 0 END), 0)
        AS gender_domain,
    -- warning: Every event is of the day in its file's name (UTC).
    COALESCE(SUM(CASE WHEN CAST(ts AS DATE) <> file_day THEN 1 ELSE 0 END), 0) AS event_of_its_day,
    -- warning: Every event (session_id, item_in_session) is in the files once; of several copies
    -- the latest day's counts.
    (
        SELECT COUNT(*)
        FROM (
            SELECT DISTINCT
                session_id,
                item_in_session
            FROM staging.repeated_events
        ) AS events
    ) AS event_once
FROM staging.staging_events
WHERE file_day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE);



-- name: check_level_domain
SELECT
    file_day,
    session_id,
    item_in_session,
    level
FROM staging.staging_events
WHERE RTRIM(level, ' ') NOT IN ('free', 'paid')
ORDER BY file_day, session_id, item_in_session
LIMIT 10;

-- name: check_gender_domain
SELECT
    file_day,
    session_id,
    item_in_session,
    gender
FROM staging.staging_events
WHERE RTRIM(gender, ' ') NOT IN ('F', 'M')
ORDER BY file_day, session_id, item_in_session
LIMIT 10;

-- name: check_event_of_its_day
SELECT
    file_day,
    session_id,
    item_in_session,
    ts
FROM staging.staging_events
WHERE CAST(ts AS DATE) <> file_day
ORDER BY file_day, session_id, item_in_session
LIMIT 10;

-- name: check_event_once
SELECT DISTINCT
    session_id,
    item_in_session
FROM staging.repeated_events
ORDER BY session_id, item_in_session
LIMIT 10;
