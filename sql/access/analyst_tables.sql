GRANT SELECT ON :tables TO ROLE sparkify_analyst
