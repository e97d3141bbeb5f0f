"""The asset checks: what has to hold for each table."""
