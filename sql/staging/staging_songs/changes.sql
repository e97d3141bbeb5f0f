-- The songs and artists whose rows differ after this load. Run before and after the exchange.
INSERT INTO staging.load_changes (table_name, load_id, song_id, artist_id)
SELECT DISTINCT
    CAST('staging_songs' AS VARCHAR(64)),
    :load_id,
    song_id,
    artist_id
FROM staging.staging_songs
WHERE
    NOT :is_full
    AND (
        source_file IN (SELECT file_name FROM replaced_files)
        OR source_file IN (SELECT file_name FROM new_files)
    )
