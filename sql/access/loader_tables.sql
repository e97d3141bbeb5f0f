GRANT ALL ON ALL TABLES IN SCHEMA staging, analytics TO ROLE sparkify_loader
