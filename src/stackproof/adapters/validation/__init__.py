"""Adapters of the role `validation`."""
