{# At least one row, and as many as expected. #}
{% test row_count(model, expected) %}
select *
from (
    select count(*) as row_count, {{ expected }} as expected_row_count from {{ model }}
)
where row_count = 0 or row_count <> expected_row_count
{% endtest %}
