"""The work queue on SQLite."""
