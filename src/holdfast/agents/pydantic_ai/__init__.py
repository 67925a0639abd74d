"""Agents of pydantic-ai on the journal: their model requests and tool calls are steps of the run that they are in."""
