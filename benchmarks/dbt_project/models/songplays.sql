{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='file_day'
) }}
with events as (
    select * from {{ ref('current_events') }}
    where
        page = 'NextSong'
        {% if env_var('NEW_DAY', '*') != '*' %}
        and file_day = date '{{ env_var("NEW_DAY", "*") }}'
        {% endif %}
),

matches as (
    select played.*, songs.song_id, songs.artist_id
    from (
        select distinct song, artist, coalesce(length, -1) as length from events
    ) as played
    inner join {{ ref('songs') }} as songs
        on played.song = songs.title and played.artist = songs.artist_name
    qualify
        row_number() over (
            partition by song, artist, length
            order by duration is null, abs(duration - length), songs.song_id
        ) = 1
)

select
    md5(session_id || '-' || item_in_session) as songplay_id,
    ts as start_time,
    nullif(user_id, '') as user_id,
    level,
    song_id,
    artist_id,
    session_id,
    location,
    user_agent,
    item_in_session,
    events.song as title,
    events.artist as artist_name,
    events.length,
    file_day
from events
left join matches
    on events.song = matches.song
    and events.artist = matches.artist
    and coalesce(events.length, -1) = matches.length
