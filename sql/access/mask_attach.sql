ATTACH MASKING POLICY sparkify_hidden_name ON analytics.users (:column) TO ROLE sparkify_analyst
