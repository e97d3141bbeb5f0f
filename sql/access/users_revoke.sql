-- Of the whole table and of single columns: Redshift refuses to grant one beside the other.
REVOKE SELECT ON analytics.users FROM ROLE sparkify_analyst
