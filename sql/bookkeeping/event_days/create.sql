-- The UTC days whose events lie in each event file; as a rule the file's own day alone.
CREATE TABLE IF NOT EXISTS staging.event_days (
    file_day DATE NOT NULL,  -- the day in the file's name
    event_day DATE NOT NULL  -- UTC day of an event's time
)
DISTSTYLE ALL
