"""Moves the data of a role from one tool to another. Empty until the issue that fills it."""
