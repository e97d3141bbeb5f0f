-- Whose new tables analysts may read at once.
SELECT owner_name
FROM svv_default_privileges
WHERE schema_name = 'analytics' AND grantee_name = 'sparkify_analyst'
