"""Adapters of the role `monitoring`."""
