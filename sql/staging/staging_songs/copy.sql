COPY landing_songs (
    artist_id, artist_latitude, artist_longitude, artist_location, artist_name,
    duration, num_songs, song_id, title, year, source_file
)
FROM :manifest
IAM_ROLE :iam_role
FORMAT AS JSON 'auto'
MANIFEST
COMPUPDATE OFF
STATUPDATE OFF
MAXERROR :max_errors
