-- The name the script projects use.
CREATE OR REPLACE VIEW staging.songs AS
SELECT * FROM staging.staging_songs
