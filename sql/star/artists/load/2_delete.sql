DELETE FROM analytics.artists
WHERE :is_full OR artist_id IN (SELECT artist_id FROM affected_artists)
