"""Scenarios that measure candidates side by side. Empty until the issue that fills it."""
