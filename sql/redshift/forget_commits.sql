DELETE FROM staging.commits
WHERE committed_at < CAST(:before AS TIMESTAMP)
