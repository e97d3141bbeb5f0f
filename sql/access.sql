-- Roles, rights and masks of `sparkify grants`; what begins with state_ asks how they are.

-- name: analyst_future_tables
ALTER DEFAULT PRIVILEGES FOR USER :user IN SCHEMA analytics
GRANT SELECT ON TABLES TO ROLE sparkify_analyst;

-- name: analyst_no_future_tables
ALTER DEFAULT PRIVILEGES FOR USER :user IN SCHEMA analytics
REVOKE SELECT ON TABLES FROM ROLE sparkify_analyst;

-- name: analyst_no_staging
REVOKE ALL ON SCHEMA staging FROM ROLE sparkify_analyst;

-- name: analyst_schema
GRANT USAGE ON SCHEMA analytics TO ROLE sparkify_analyst;

-- name: analyst_tables
GRANT SELECT ON :tables TO ROLE sparkify_analyst;

-- name: create_role
CREATE ROLE :role;

-- name: grant_role
GRANT ROLE :role TO :user;

-- name: loader_future_tables
ALTER DEFAULT PRIVILEGES FOR USER :user IN SCHEMA staging, analytics
GRANT ALL ON TABLES TO ROLE sparkify_loader;

-- name: loader_owns
ALTER TABLE :relation OWNER TO :user;

-- name: loader_schemas
GRANT USAGE, CREATE ON SCHEMA staging, analytics TO ROLE sparkify_loader;

-- name: loader_tables
GRANT ALL ON ALL TABLES IN SCHEMA staging, analytics TO ROLE sparkify_loader;

-- name: mask_attach
ATTACH MASKING POLICY sparkify_hidden_name ON analytics.users (:column) TO ROLE sparkify_analyst;

-- name: mask_create
-- A constant has to be cast to the type of the columns.
CREATE MASKING POLICY sparkify_hidden_name
WITH (name VARCHAR(256))
USING (CAST('***' AS VARCHAR(256)));

-- name: mask_detach
DETACH MASKING POLICY sparkify_hidden_name ON analytics.users (:column) FROM ROLE sparkify_analyst;

-- name: mask_drop
DROP MASKING POLICY sparkify_hidden_name;

-- name: state_future_readers
-- Whose new tables analysts may read at once.
SELECT owner_name
FROM svv_default_privileges
WHERE schema_name = 'analytics' AND grantee_name = 'sparkify_analyst';

-- name: state_masked
-- Where the policy is in force; output_columns is a list as ["first_name"].
SELECT
    schema_name,
    table_name,
    grantee,
    output_columns
FROM svv_attached_masking_policy
WHERE policy_name = 'sparkify_hidden_name';

-- name: state_members
-- Who has been given one of the roles.
SELECT
    user_name,
    role_name
FROM svv_user_grants
WHERE role_name IN ('sparkify_loader', 'sparkify_analyst');

-- name: state_owned
-- Tables and views in the platform's schemas that belong to who is asking.
SELECT
    schemaname AS schema_name,
    tablename AS relation_name
FROM pg_tables
WHERE schemaname IN ('staging', 'analytics') AND tableowner = CURRENT_USER
UNION ALL
SELECT
    schemaname AS schema_name,
    viewname AS relation_name
FROM pg_views
WHERE schemaname IN ('staging', 'analytics') AND viewowner = CURRENT_USER
ORDER BY schema_name, relation_name;

-- name: state_policies
SELECT policy_name
FROM svv_masking_policy
WHERE policy_name = 'sparkify_hidden_name';

-- name: state_roles
SELECT role_name
FROM svv_roles
WHERE role_name IN ('sparkify_loader', 'sparkify_analyst');

-- name: state_tables
-- Tables and views that analysts may read.
SELECT table_name
FROM information_schema.tables
WHERE table_schema = 'analytics'
ORDER BY table_name;

-- name: state_user
SELECT CURRENT_USER AS user_name;

-- name: users_columns
GRANT SELECT (:columns) ON analytics.users TO ROLE sparkify_analyst;

-- name: users_revoke
-- Of the whole table and of single columns: Redshift refuses to grant one beside the other.
REVOKE SELECT ON analytics.users FROM ROLE sparkify_analyst;

-- name: users_table
GRANT SELECT ON analytics.users TO ROLE sparkify_analyst;
