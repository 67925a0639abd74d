"""Phases in a file, models that fail safely, pipelines, artifacts, and other frameworks' agents on the journal."""
