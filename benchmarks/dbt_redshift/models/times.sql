SELECT DISTINCT
    ts AS start_time,
    EXTRACT(hour FROM ts) AS hour,
    EXTRACT(dow FROM ts) AS weekday
FROM public.seed_events
WHERE page = 'NextSong'
