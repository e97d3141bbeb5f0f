{{ config(schema='staging', materialized='view') }}
-- Of an event that lies in several files the latest file day's copy counts.
select * replace (
    rtrim(artist, ' ') as artist,
    rtrim(first_name, ' ') as first_name,
    rtrim(gender, ' ') as gender,
    rtrim(last_name, ' ') as last_name,
    rtrim(level, ' ') as level,
    rtrim(location, ' ') as location,
    rtrim(page, ' ') as page,
    rtrim(song, ' ') as song,
    rtrim(user_agent, ' ') as user_agent,
    rtrim(user_id, ' ') as user_id
)
from (
select events.*
from {{ ref('staging_events') }} as events
anti join {{ ref('repeated_events') }} as repeated using (session_id, item_in_session)
union all by name
select events.*
from {{ ref('staging_events') }} as events
semi join {{ ref('repeated_events') }} as repeated using (session_id, item_in_session)
qualify
    row_number() over (
        partition by session_id, item_in_session
        order by
            file_day desc, ts desc, page, user_id, first_name, last_name, gender, level, location,
            user_agent, song, artist, length
    ) = 1
) as counted
