"""Pipelines of agents: in order, side by side, routed and in loops; in process, or in a run."""
