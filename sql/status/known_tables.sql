-- The tables that this warehouse has been given so far.
SELECT table_name
FROM staging.table_versions
