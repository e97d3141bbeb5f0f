-- What a failed check of a key or a reference is about, where the table's own file has no section
-- check_<name> that finds it: the first rows.

-- name: unique_key
SELECT
    :keys,
    COUNT(*) AS copies
FROM :relation
GROUP BY :keys
HAVING COUNT(*) > 1
ORDER BY :keys
LIMIT 10;

-- name: key_not_null
SELECT :columns
FROM :relation
WHERE :keys IS NULL
LIMIT 10;

-- name: reference
SELECT
    :keys,
    :reference
FROM :relation
WHERE
    :reference IS NOT NULL
    AND :reference NOT IN (SELECT :other_key FROM :other WHERE :other_key IS NOT NULL)
ORDER BY :keys
LIMIT 10;
