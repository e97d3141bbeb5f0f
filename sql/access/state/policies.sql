SELECT policy_name
FROM svv_masking_policy
WHERE policy_name = 'sparkify_hidden_name'
