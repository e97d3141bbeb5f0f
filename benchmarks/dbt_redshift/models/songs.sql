SELECT DISTINCT song_id, title, artist_id, year, duration
FROM public.seed_songs
