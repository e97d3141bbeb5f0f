GRANT ROLE :role TO :user
