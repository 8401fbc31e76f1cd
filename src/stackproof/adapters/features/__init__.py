"""Adapters of the role `features`."""
