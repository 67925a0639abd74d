"""What executes: the committer, the context of a run, replay, the dispatcher, leases, the client."""
