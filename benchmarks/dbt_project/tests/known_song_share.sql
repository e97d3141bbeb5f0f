{{ config(severity='warn') }}
select *
from (
    select count(song_id) as plays_of_known_songs, count(*) as row_count
    from {{ ref('songplays') }}
)
where plays_of_known_songs < 0.01 * row_count
