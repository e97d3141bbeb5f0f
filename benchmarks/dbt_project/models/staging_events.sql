{{ config(
    schema='staging', materialized='incremental', incremental_strategy='delete+insert',
    unique_key='file_day'
) }}
select
    artist,
    auth,
    "firstName" as first_name,
    gender,
    "itemInSession" as item_in_session,
    "lastName" as last_name,
    length,
    level,
    location,
    method,
    page,
    registration,
    "sessionId" as session_id,
    song,
    status,
    make_timestamp(ts * 1000) as ts,
    "userAgent" as user_agent,
    "userId" as user_id,
    cast(regexp_extract(filename, '(\d{4}-\d{2}-\d{2})-events\.json$', 1) as date) as file_day
from read_json(
    '{{ env_var("LAKE") }}/log_data/*/*/{{ env_var("NEW_DAY", "*") }}-events.json',
    columns = {
        artist: 'VARCHAR', auth: 'VARCHAR', firstName: 'VARCHAR', gender: 'VARCHAR',
        itemInSession: 'INTEGER', lastName: 'VARCHAR', length: 'DOUBLE', level: 'VARCHAR',
        location: 'VARCHAR', method: 'VARCHAR', page: 'VARCHAR', registration: 'DOUBLE',
        sessionId: 'BIGINT', song: 'VARCHAR', status: 'INTEGER', ts: 'BIGINT',
        userAgent: 'VARCHAR', userId: 'VARCHAR'
    },
    format = 'newline_delimited',
    filename = true
)
