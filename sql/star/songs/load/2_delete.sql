DELETE FROM analytics.songs
WHERE :is_full OR song_id IN (SELECT song_id FROM affected_songs)
