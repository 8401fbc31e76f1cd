"""Adapters of the role `tuning`."""
