"""Tells people what becomes of runs: rules in a file say what, and by which channels of the outbox."""
