"""Tests of sparkify_dagster: real engines on real files."""
