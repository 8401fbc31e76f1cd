"""Adapters of the role `versioning`."""
