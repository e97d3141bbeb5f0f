-- Who has been given one of the roles.
SELECT
    user_name,
    role_name
FROM svv_user_grants
WHERE role_name IN ('sparkify_loader', 'sparkify_analyst')
