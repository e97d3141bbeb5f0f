GRANT SELECT (:columns) ON analytics.users TO ROLE sparkify_analyst
