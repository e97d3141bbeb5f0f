SELECT DISTINCT user_id, first_name, last_name, gender, level
FROM public.seed_events
WHERE page = 'NextSong'
