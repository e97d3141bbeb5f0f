ANALYZE analytics.songplays PREDICATE COLUMNS
