-- What there is to ask.
SELECT
    table_schema AS schema_name,
    table_name
FROM information_schema.tables
WHERE table_schema IN ('analytics', 'staging')
ORDER BY table_schema, table_name
