{% macro load() %}
    {% if execute %}
        {% for statement in var('load') %}
            {% do run_query(statement) %}
        {% endfor %}
    {% endif %}
{% endmacro %}
