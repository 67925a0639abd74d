"""Phases in a file, run inside durable runs: one step for each model, budgets, limits, and people's say."""
