GRANT USAGE, CREATE ON SCHEMA staging, analytics TO ROLE sparkify_loader
