-- The events that lie in the files more than once, as a correction in a later file does.
-- Usually empty; it spares every reader of staging_events a sort over all of it.
CREATE TABLE IF NOT EXISTS staging.repeated_events (
    session_id BIGINT NOT NULL,        -- with item_in_session, the event
    item_in_session INTEGER NOT NULL,  -- position of the event in its session
    file_day DATE NOT NULL,            -- a day whose file holds it
    copies BIGINT NOT NULL             -- how often that file holds it
)
DISTKEY (session_id)
SORTKEY (session_id)
