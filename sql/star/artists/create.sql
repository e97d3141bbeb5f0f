-- One row per artist of the catalogue.
-- Small and joined by everything, so every node keeps a copy.
CREATE TABLE IF NOT EXISTS analytics.artists (
    artist_id VARCHAR(32) NOT NULL,  -- the artist
    name VARCHAR(256),               -- name
    location VARCHAR(512),           -- free text; NULL where unknown
    latitude DOUBLE PRECISION,       -- degrees north; NULL where unknown
    longitude DOUBLE PRECISION       -- degrees east; NULL where unknown
)
DISTSTYLE ALL
SORTKEY (artist_id)
