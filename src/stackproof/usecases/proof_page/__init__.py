"""Proofs as one page that needs nothing else."""
