"""Dagster assets and, beside each, its checks; the work itself is in plain functions."""
