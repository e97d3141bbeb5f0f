GRANT USAGE ON SCHEMA analytics TO ROLE sparkify_analyst
