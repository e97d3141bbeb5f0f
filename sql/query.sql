-- What `sparkify query` tells of the tables.

-- name: tables
-- What there is to ask.
SELECT
    table_schema AS schema_name,
    table_name
FROM information_schema.tables
WHERE table_schema IN (:schemas) AND table_catalog = CAST(CURRENT_DATABASE() AS VARCHAR(128))
ORDER BY table_schema, table_name;

-- name: columns
-- The columns of a table or view, of each schema that has one of the name.
SELECT
    table_schema AS schema_name,
    table_name,
    column_name,
    data_type,
    is_nullable
FROM information_schema.columns
WHERE
    table_schema IN (:schemas)
    AND table_catalog = CAST(CURRENT_DATABASE() AS VARCHAR(128))
    AND table_name = :table_name
ORDER BY table_schema, ordinal_position;
