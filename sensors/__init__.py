"""Dagster sensors and schedules: a pure function decides, the sensor only carries."""
