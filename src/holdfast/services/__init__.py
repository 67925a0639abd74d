"""What tends the runs: the worker that puts executing and tending together, and the reaper."""
