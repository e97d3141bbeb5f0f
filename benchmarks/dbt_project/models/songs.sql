select song_id, title, artist_id, nullif(year, 0) as year, duration, artist_name
from {{ ref('current_songs') }}
qualify
    row_number() over (
        partition by song_id order by source_file, title, artist_id, year, duration, artist_name
    ) = 1
