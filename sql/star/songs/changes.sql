-- Title and artist of the songs that differ after this load: plays of them are matched again.
-- Run before and after the rows are exchanged.
INSERT INTO staging.load_changes (table_name, load_id, title, artist_name)
SELECT DISTINCT
    CAST('songs' AS VARCHAR(64)),
    :load_id,
    title,
    artist_name
FROM analytics.songs
WHERE song_id IN (SELECT song_id FROM affected_songs) AND NOT :is_full
