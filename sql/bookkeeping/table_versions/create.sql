-- One row per table of the platform: the definition and the load SQL it was last built with.
CREATE TABLE IF NOT EXISTS staging.table_versions (
    table_name VARCHAR(128) NOT NULL,    -- schema.table
    column_list VARCHAR(8000) NOT NULL,  -- names and types in order, as create.sql had them
    load_version VARCHAR(64)             -- hash of the load SQL of the last build; NULL before the first
)
DISTSTYLE ALL
