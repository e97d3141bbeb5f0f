"""Sparkify's data platform on Dagster: a tested star schema from the event and song files."""
