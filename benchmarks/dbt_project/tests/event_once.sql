{{ config(severity='warn') }}
select * from {{ ref('repeated_events') }}
