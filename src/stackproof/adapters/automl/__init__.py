"""Adapters of the role `automl`."""
