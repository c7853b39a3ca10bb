"""Faults of a model server, on order: which requests they strike, and what happens then."""
