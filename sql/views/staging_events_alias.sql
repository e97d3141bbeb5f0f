-- The name the script projects use.
CREATE OR REPLACE VIEW staging.events AS
SELECT * FROM staging.staging_events
