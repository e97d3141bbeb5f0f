-- What artists are played most: top_songs, added up by artist.

-- name: create
-- One row per artist played, told apart by the name as logged.
CREATE VIEW analytics.top_artists AS
SELECT
    -- VARCHAR(256): artist, as logged
    artist_name,
    -- BIGINT: how often the artist was played
    CAST(SUM(plays) AS BIGINT) AS plays,
    -- BIGINT: of these, by listeners on the paid level
    CAST(SUM(paid_plays) AS BIGINT) AS paid_plays,
    -- BIGINT: of these, with a song of the catalogue
    CAST(SUM(matched_plays) AS BIGINT) AS matched_plays,
    -- BIGINT: how many titles of the artist were played
    COUNT(*) AS songs,
    -- VARCHAR(256): the title played most; of several, the first by name
    MAX(CASE WHEN place = 1 THEN title END) AS top_title,
    -- TIMESTAMP: start of the first play, UTC
    MIN(first_played_at) AS first_played_at,
    -- TIMESTAMP: start of the last play, UTC
    MAX(last_played_at) AS last_played_at
FROM (
    SELECT
        artist_name,
        title,
        plays,
        paid_plays,
        matched_plays,
        first_played_at,
        last_played_at,
        ROW_NUMBER() OVER (PARTITION BY artist_name ORDER BY plays DESC, title) AS place
    FROM analytics.top_songs
) AS songs_of_artist
GROUP BY artist_name;

-- name: check
SELECT
    -- blocking: No two rows with the same artist_name.
    COALESCE(SUM(CASE WHEN copies > 1 THEN 1 ELSE 0 END), 0) AS unique_key,
    -- error: The plays add up to the rows of songplays.
    COALESCE(SUM(plays), 0) AS plays_reconcile,
    (SELECT GREATEST(COUNT(*), :least_rows) FROM analytics.songplays) AS plays_reconcile_expected,
    -- error: The songs add up to the rows of top_songs.
    COALESCE(SUM(songs), 0) AS songs_reconcile,
    (SELECT COUNT(*) FROM analytics.top_songs) AS songs_reconcile_expected
FROM (
    SELECT
        COUNT(*) AS copies,
        SUM(plays) AS plays,
        SUM(songs) AS songs
    FROM analytics.top_artists
    GROUP BY artist_name
) AS told_apart;

-- name: report
SELECT
    artist_name,
    plays,
    songs,
    top_title,
    COUNT(*) OVER () AS row_count
FROM analytics.top_artists
ORDER BY plays DESC, artist_name
LIMIT 15;
