REVOKE ALL ON SCHEMA staging FROM ROLE sparkify_analyst
