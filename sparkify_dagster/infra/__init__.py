"""Provisioning of the Redshift warehouse on AWS: what `sparkify infra` does."""
