DETACH MASKING POLICY sparkify_hidden_name ON analytics.users (:column) FROM ROLE sparkify_analyst
