"""What `sparkify docs` writes: lineage, data dictionary and diagram, from the SQL and the facts."""
