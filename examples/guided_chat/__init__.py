"""A guided chat: a dialogue asks for what a renewal needs, and hands over to a run."""
