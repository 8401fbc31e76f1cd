"""Adapters of the role `serving`."""
