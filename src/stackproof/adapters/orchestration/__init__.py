"""Adapters of the role `orchestration`."""
