SELECT COUNT(*) AS found
FROM staging.commits
WHERE token = :token
