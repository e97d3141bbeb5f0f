select user_id, first_name, last_name, gender, level
from {{ ref('current_events') }}
inner join (
    select user_id, max(ts) as ts
    from {{ ref('current_events') }}
    where user_id <> ''
    group by user_id
) as latest using (user_id, ts)
qualify
    row_number() over (
        partition by user_id order by session_id desc, item_in_session desc
    ) = 1
