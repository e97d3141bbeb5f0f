-- One row per day with plays.
CREATE TABLE IF NOT EXISTS analytics.catalogue_coverage (
    day DATE NOT NULL,                        -- UTC day of the plays' start_time
    plays BIGINT NOT NULL,                    -- songs played
    matched_plays BIGINT NOT NULL,            -- of these, with a song of the catalogue
    unmatched_plays BIGINT NOT NULL,          -- of these, without
    matched_share DOUBLE PRECISION NOT NULL,  -- matched_plays of plays, to 4 decimals
    top_unmatched_title VARCHAR(256),         -- song played most without a match, as logged
    top_unmatched_artist VARCHAR(256),        -- its artist; of several songs, the first by name
    top_unmatched_plays BIGINT NOT NULL       -- how often it was played; 0 where all plays match
)
DISTSTYLE ALL
SORTKEY (day)
