-- The files whose former rows this load takes out: changed, removed, or of a day that is read again.
CREATE TEMP TABLE replaced_files (
    file_name VARCHAR(1024) NOT NULL,
    file_day DATE
)
