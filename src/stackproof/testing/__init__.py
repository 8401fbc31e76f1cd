"""Shipped to adapter authors: one conformance class for each role, and the pytest plugin."""
