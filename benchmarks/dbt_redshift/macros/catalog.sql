{# The double has no views of functions and dependencies: a statement in the place of each of dbt's. #}
{% macro redshift__list_relations_without_caching(schema_relation) %}
    {% call statement('list_relations_without_caching', fetch_result=True) %}
        select
            table_catalog as database, table_name as name, table_schema as schema, 'table' as type
        from information_schema.tables
        where table_schema = '{{ schema_relation.schema }}'
    {% endcall %}
    {{ return(load_result('list_relations_without_caching').table) }}
{% endmacro %}

{% macro redshift__get_relations() %}
    {% call statement('relations', fetch_result=True) %}
        select
            table_schema as dependent_schema, table_name as dependent_name,
            table_schema as referenced_schema, table_name as referenced_name
        from information_schema.tables
        where table_schema = ''
    {% endcall %}
    {{ return(load_result('relations').table) }}
{% endmacro %}
