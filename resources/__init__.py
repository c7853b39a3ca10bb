"""Thin Dagster resources that build the pipeline's parts from settings."""
