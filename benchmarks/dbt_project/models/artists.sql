select
    artist_id,
    artist_name as name,
    nullif(artist_location, '') as location,
    artist_latitude as latitude,
    artist_longitude as longitude
from {{ ref('current_songs') }}
where artist_id is not null
qualify
    row_number() over (
        partition by artist_id
        order by
            coalesce(artist_location, '') = '', artist_latitude is null, song_id, source_file,
            artist_name, artist_location, artist_latitude, artist_longitude
    ) = 1
