-- What the statements of several tables share. A statement asks for one by :name(column); it is
-- put in when the file is read. first_day and last_day bound the days of a load or a check: said
-- as values, they spare the engine the blocks of all other days, which a cast or a subquery do not.

-- name: between_days(moment)
:moment >= CAST(:first_day AS DATE)
AND :moment < CAST(:last_day AS DATE) + 1;

-- name: pending_days(moment)
:moment >= CAST(:first_day AS DATE)
AND :moment < CAST(:last_day AS DATE) + 1
AND CAST(:moment AS DATE) IN (SELECT changed_day FROM pending);

-- name: pending_file_days(file_day)
:file_day BETWEEN CAST(:first_day AS DATE) AND CAST(:last_day AS DATE)
AND :file_day IN (SELECT changed_day FROM pending WHERE source_table = 'staging_events');

-- name: pending_months(month)
:month IN (SELECT CAST(DATE_TRUNC('month', changed_day) AS DATE) FROM pending);

-- name: since_month_of_first_day(moment)
:moment >= DATE_TRUNC('month', CAST(:first_day AS DATE));

-- name: seven_days
SELECT 0 AS days
UNION ALL SELECT 1
UNION ALL SELECT 2
UNION ALL SELECT 3
UNION ALL SELECT 4
UNION ALL SELECT 5
UNION ALL SELECT 6;
