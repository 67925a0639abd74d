"""The work queue's verbs on PostgreSQL."""
