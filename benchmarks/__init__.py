"""Measures holdfast against the limit of the machine and against a peer: ``python -m benchmarks``."""
