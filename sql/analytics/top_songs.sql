-- What songs are played most: summed up by month when plays change, and over all months for the
-- songs of which a month has changed.

-- name: create_song_months
-- One row per month and song played: what top_songs adds up without reading all plays again.
CREATE TABLE IF NOT EXISTS staging.song_months (
    play_month DATE NOT NULL,            -- first day of the month, UTC
    title VARCHAR(256),                  -- song title, as logged
    artist_name VARCHAR(256),            -- artist, as logged
    plays BIGINT NOT NULL,               -- plays in the month
    paid_plays BIGINT NOT NULL,          -- of these, by listeners on the paid level
    matched_plays BIGINT NOT NULL,       -- of these, with a song of the catalogue
    first_played_at TIMESTAMP NOT NULL,  -- first play of the month, UTC
    last_played_at TIMESTAMP NOT NULL    -- last play of the month, UTC
)
DISTSTYLE EVEN
SORTKEY (play_month);

-- name: create_song_totals
-- One row per song played: the sum of its months. After ten years these are thirty times as many
-- rows, too many to be added up for every check and report of a new day.
CREATE TABLE IF NOT EXISTS staging.song_totals (
    title VARCHAR(256),                  -- song title, as logged
    artist_name VARCHAR(256),            -- artist, as logged
    plays BIGINT NOT NULL,               -- plays in all months
    paid_plays BIGINT NOT NULL,          -- of these, by listeners on the paid level
    matched_plays BIGINT NOT NULL,       -- of these, with a song of the catalogue
    first_played_at TIMESTAMP NOT NULL,  -- first play, UTC
    last_played_at TIMESTAMP NOT NULL    -- last play, UTC
)
DISTSTYLE EVEN;

-- name: create
-- One row per song played, told apart by title and artist as logged.
CREATE VIEW analytics.top_songs AS
SELECT
    -- VARCHAR(256): song title, as logged
    title,
    -- VARCHAR(256): artist, as logged
    artist_name,
    -- BIGINT: how often it was played
    plays,
    -- BIGINT: of these, by listeners on the paid level
    paid_plays,
    -- BIGINT: of these, with a song of the catalogue
    matched_plays,
    -- TIMESTAMP: start of the first play, UTC
    first_played_at,
    -- TIMESTAMP: start of the last play, UTC
    last_played_at
FROM staging.song_totals;

-- name: load
CREATE TEMP TABLE months_before AS
SELECT *
FROM staging.song_months
WHERE :pending_months(play_month);

DELETE FROM staging.song_months
WHERE :pending_months(play_month);

INSERT INTO staging.song_months (
    play_month, title, artist_name, plays, paid_plays, matched_plays,
    first_played_at, last_played_at
)
SELECT
    play_month,
    title,
    artist_name,
    COUNT(*),
    SUM(CASE WHEN level = 'paid' THEN 1 ELSE 0 END),
    COUNT(song_id),
    MIN(start_time),
    MAX(start_time)
FROM (
    SELECT
        CAST(DATE_TRUNC('month', start_time) AS DATE) AS play_month,
        title,
        artist_name,
        level,
        song_id,
        start_time
    FROM analytics.songplays
    WHERE :since_month_of_first_day(start_time)
) AS plays_by_month
WHERE :pending_months(play_month)
GROUP BY play_month, title, artist_name;

-- The songs with a month that came, changed or went: such a row is there once, any other twice.
CREATE TEMP TABLE changed_songs AS
SELECT DISTINCT
    COALESCE(title, '') AS title,
    COALESCE(artist_name, '') AS artist_name
FROM (
    SELECT * FROM months_before
    UNION ALL
    SELECT * FROM staging.song_months
    WHERE :pending_months(play_month)
) AS months
GROUP BY
    play_month, title, artist_name, plays, paid_plays, matched_plays, first_played_at,
    last_played_at
HAVING COUNT(*) = 1;

DELETE FROM staging.song_totals
USING changed_songs
WHERE
    COALESCE(song_totals.title, '') = changed_songs.title
    AND COALESCE(song_totals.artist_name, '') = changed_songs.artist_name;

INSERT INTO staging.song_totals (
    title, artist_name, plays, paid_plays, matched_plays, first_played_at, last_played_at
)
SELECT
    months.title,
    months.artist_name,
    SUM(months.plays),
    SUM(months.paid_plays),
    SUM(months.matched_plays),
    MIN(months.first_played_at),
    MAX(months.last_played_at)
FROM staging.song_months AS months
INNER JOIN changed_songs
    ON COALESCE(months.title, '') = changed_songs.title
    AND COALESCE(months.artist_name, '') = changed_songs.artist_name
GROUP BY months.title, months.artist_name;

-- name: check
SELECT
    -- blocking: No two rows with the same title and artist_name.
    COALESCE(SUM(CASE WHEN copies > 1 THEN 1 ELSE 0 END), 0) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    COALESCE(SUM(plays), 0) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected,
    -- error: The plays with a song of the catalogue add up to those with a song_id in songplays.
    COALESCE(SUM(matched_plays), 0) AS matches_reconcile,
    (SELECT COUNT(song_id) FROM analytics.songplays) AS matches_reconcile_expected
FROM (
    SELECT
        COUNT(*) AS copies,
        SUM(plays) AS plays,
        SUM(matched_plays) AS matched_plays
    FROM analytics.top_songs
    GROUP BY title, artist_name
) AS told_apart;

-- name: report
SELECT
    title,
    artist_name,
    plays,
    paid_plays,
    matched_plays,
    COUNT(*) OVER () AS row_count
FROM analytics.top_songs
ORDER BY plays DESC, artist_name, title
LIMIT 15;
