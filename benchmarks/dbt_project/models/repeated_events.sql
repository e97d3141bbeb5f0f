{{ config(schema='staging') }}
select session_id, item_in_session
from {{ ref('staging_events') }}
group by session_id, item_in_session
having count(*) > 1
