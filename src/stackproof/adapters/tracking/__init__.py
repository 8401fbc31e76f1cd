"""Adapters of the role `tracking`."""
