"""Tells people what becomes of runs: rules in a file say what, and to whom; sending is durable."""
