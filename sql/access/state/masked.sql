-- Where the policy is in force; output_columns is a list as ["first_name"].
SELECT
    schema_name,
    table_name,
    grantee,
    output_columns
FROM svv_attached_masking_policy
WHERE policy_name = 'sparkify_hidden_name'
