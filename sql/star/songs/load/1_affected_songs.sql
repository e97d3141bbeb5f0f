CREATE TEMP TABLE affected_songs AS
SELECT DISTINCT song_id
FROM staging.load_changes
WHERE table_name = 'staging_songs' AND load_id > :staging_songs_seen AND NOT :is_full
