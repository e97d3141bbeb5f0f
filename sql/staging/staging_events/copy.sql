COPY landing_events (
    artist, auth, first_name, gender, item_in_session, last_name, length, level, location,
    method, page, registration, session_id, song, status, ts, user_agent, user_id
)
FROM :manifest
IAM_ROLE :iam_role
FORMAT AS JSON :jsonpaths
MANIFEST
TIMEFORMAT 'epochmillisecs'
COMPUPDATE OFF
STATUPDATE OFF
MAXERROR :max_errors
