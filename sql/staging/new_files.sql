-- The files this load reads, as the lake lists them.
CREATE TEMP TABLE new_files (
    file_name VARCHAR(1024) NOT NULL,
    file_day DATE,
    size_bytes BIGINT NOT NULL,
    version VARCHAR(128) NOT NULL,
    content_hash VARCHAR(64),
    line_count BIGINT
)
