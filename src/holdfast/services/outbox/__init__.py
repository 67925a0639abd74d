"""Sends messages: a file says by which channels, and every worker that is given it takes its part."""
