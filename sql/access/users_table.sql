GRANT SELECT ON analytics.users TO ROLE sparkify_analyst
