"""Environments: capture the one that runs, build one from a lock."""
