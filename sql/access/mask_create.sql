-- A constant has to be cast to the type of the columns.
CREATE MASKING POLICY sparkify_hidden_name
WITH (name VARCHAR(256))
USING (CAST('***' AS VARCHAR(256)))
