CREATE TEMP TABLE affected_artists AS
SELECT DISTINCT artist_id
FROM staging.load_changes
WHERE
    table_name = 'staging_songs'
    AND load_id > :staging_songs_seen
    AND artist_id IS NOT NULL
    AND NOT :is_full
