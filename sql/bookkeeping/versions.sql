SELECT
    table_name,
    column_list,
    load_version
FROM staging.table_versions
