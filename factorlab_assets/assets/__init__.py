"""The Dagster layer: assets, partitions, IO, checks, jobs and automation."""
