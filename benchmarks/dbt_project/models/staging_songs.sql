{{ config(schema='staging') }}
-- read_text opens 15,000 files in a tenth of the time that read_json takes.
select
    unnest(from_json_strict(content, '{
        "artist_id": "VARCHAR", "artist_latitude": "DOUBLE", "artist_longitude": "DOUBLE",
        "artist_location": "VARCHAR", "artist_name": "VARCHAR", "duration": "DOUBLE",
        "num_songs": "INTEGER", "song_id": "VARCHAR", "title": "VARCHAR", "year": "INTEGER"
    }')),
    filename[length('{{ env_var("LAKE") }}/') + 1:] as source_file
from read_text('{{ env_var("LAKE") }}/song_data/**/*.json')
