SELECT role_name
FROM svv_roles
WHERE role_name IN ('sparkify_loader', 'sparkify_analyst')
