-- COPY leaves the statistics as they were, and the plan of every table built from this one rests
-- on them. Redshift itself skips the work where less than a tenth of the rows has changed.
ANALYZE staging.staging_events PREDICATE COLUMNS
