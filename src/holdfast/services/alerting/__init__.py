"""Tells people that something is wrong: rules in a file say what, from when on, and to whom."""
