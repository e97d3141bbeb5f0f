-- The plays are matched on this table next, and the plan has to know how small it is.
ANALYZE analytics.songs PREDICATE COLUMNS
