INSERT INTO staging.commits (token, run_id, committed_at)
VALUES (:token, :run_id, CAST(:committed_at AS TIMESTAMP))
