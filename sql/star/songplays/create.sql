-- One row per play: an event with page NextSong, whether or not its song is in the catalogue.
-- Sorted by start_time, as most questions ask for a span of time, and dealt out by it: time, the one
-- dimension that grows along, is laid out the same, so the two merge where they lie. Milliseconds
-- spread evenly; song_id would heap the many plays without one on a single slice.
CREATE TABLE IF NOT EXISTS analytics.songplays (
    songplay_id VARCHAR(32) NOT NULL,  -- MD5 of session and item: the same in every run and engine
    start_time TIMESTAMP NOT NULL,     -- when the play began, UTC, to the millisecond; joins time
    user_id VARCHAR(32),               -- the listener; joins users
    level VARCHAR(16),                 -- free or paid, at the time of the play
    song_id VARCHAR(32),               -- the song in the catalogue; NULL where none matches
    artist_id VARCHAR(32),             -- its artist; NULL where no song matches
    session_id BIGINT NOT NULL,        -- session of the play
    location VARCHAR(512),             -- the listener's metropolitan area
    user_agent VARCHAR(512),           -- browser, as logged
    item_in_session INTEGER NOT NULL,  -- position of the play in its session
    title VARCHAR(256),                -- song title, as logged
    artist_name VARCHAR(256),          -- artist, as logged
    length DOUBLE PRECISION,           -- seconds of the song, as logged
    file_day DATE NOT NULL             -- the day of the event file the play is from
)
DISTKEY (start_time)
SORTKEY (start_time)
