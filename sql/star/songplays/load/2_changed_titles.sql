-- Titles whose songs came, changed or went: plays of them on other days are matched again.
CREATE TEMP TABLE changed_titles AS
SELECT DISTINCT
    title,
    artist_name
FROM staging.load_changes
WHERE table_name = 'songs' AND load_id > :songs_seen AND NOT :is_full
