MODEL (
  name staging.staging_events,
  kind INCREMENTAL_BY_TIME_RANGE (time_column file_day),
  audits (
    row_count(expected := COUNT(*)),
    accepted_values(column := level, is_in := ('free', 'paid')),
    accepted_values(column := gender, is_in := ('F', 'M'))
  )
);

SELECT
  artist,
  auth,
  "firstName" AS first_name,
  gender,
  "itemInSession" AS item_in_session,
  "lastName" AS last_name,
  length,
  level,
  location,
  method,
  page,
  registration,
  "sessionId" AS session_id,
  song,
  status,
  MAKE_TIMESTAMP(ts * 1000) AS ts,
  "userAgent" AS user_agent,
  "userId" AS user_id,
  CAST(REGEXP_EXTRACT(filename, '(\d{4}-\d{2}-\d{2})-events\.json$', 1) AS DATE) AS file_day
FROM READ_JSON(
  @lake || '/log_data/*/*/*-events.json',
  columns = {
    'artist': 'VARCHAR', 'auth': 'VARCHAR', 'firstName': 'VARCHAR', 'gender': 'VARCHAR',
    'itemInSession': 'INTEGER', 'lastName': 'VARCHAR', 'length': 'DOUBLE', 'level': 'VARCHAR',
    'location': 'VARCHAR', 'method': 'VARCHAR', 'page': 'VARCHAR', 'registration': 'DOUBLE',
    'sessionId': 'BIGINT', 'song': 'VARCHAR', 'status': 'INTEGER', 'ts': 'BIGINT',
    'userAgent': 'VARCHAR', 'userId': 'VARCHAR'
  },
  format = 'newline_delimited',
  filename = TRUE
)
WHERE
  CAST(REGEXP_EXTRACT(filename, '(\d{4}-\d{2}-\d{2})-events\.json$', 1) AS DATE)
    BETWEEN @start_ds AND @end_ds
