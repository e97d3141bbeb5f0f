-- What `sparkify diff` and `sparkify verify` ask of one table on two sides.

-- name: begin
-- The rows that one side has and the other has not, or not as often.
CREATE TEMP TABLE differences AS
SELECT
    :columns,
    CAST(0 AS BIGINT) AS surplus
FROM :left_side
WHERE 1 = 0;

-- name: find_differences
-- Rows are compared whole, so that neither NULL nor a key that repeats leads astray.
INSERT INTO differences
SELECT
    :columns,
    SUM(side) AS surplus
FROM (
    SELECT
        :columns,
        1 AS side
    FROM :left_side
    WHERE :within
    UNION ALL
    SELECT
        :columns,
        -1 AS side
    FROM :right_side
    WHERE :within
) AS both_sides
GROUP BY :columns
HAVING SUM(side) <> 0;

-- name: pair
-- The same by key, the values of both sides beside each other.
CREATE TEMP TABLE pairs AS
SELECT
    :selected,
    SUM(CASE WHEN surplus > 0 THEN surplus ELSE 0 END) AS lefts,
    SUM(CASE WHEN surplus < 0 THEN -surplus ELSE 0 END) AS rights
FROM differences
GROUP BY :keys;

-- name: count_alone
SELECT
    COALESCE(SUM(lefts), 0) AS only_left,
    COALESCE(SUM(rights), 0) AS only_right
FROM pairs
WHERE lefts <> 1 OR rights <> 1;

-- name: count_changed
SELECT
    :counts,
    COUNT(*) AS changed_rows
FROM pairs
WHERE lefts = 1 AND rights = 1;

-- name: show_alone
SELECT
    :keys,
    lefts,
    rights
FROM pairs
WHERE lefts <> 1 OR rights <> 1
ORDER BY :keys
LIMIT 5;

-- name: show_changed
SELECT
    :keys,
    :values
FROM pairs
WHERE lefts = 1 AND rights = 1 AND :differs
ORDER BY :keys
LIMIT 3;
