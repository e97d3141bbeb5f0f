-- The name the script projects use.
CREATE OR REPLACE VIEW analytics.times AS
SELECT * FROM analytics.time
