{{ config(schema='staging', materialized='view') }}
-- Text has no trailing blanks.
select * replace (
    rtrim(artist_id, ' ') as artist_id,
    rtrim(artist_location, ' ') as artist_location,
    rtrim(artist_name, ' ') as artist_name,
    rtrim(song_id, ' ') as song_id,
    rtrim(title, ' ') as title
)
from {{ ref('staging_songs') }}
