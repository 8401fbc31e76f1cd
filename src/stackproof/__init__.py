"""Stackproof decides an MLOps stack, proves the choice, and runs it under one ledger."""

__version__ = "0.1.0"
