"""A planner, a coder and a reviewer mend a small repository: in a copy, whose tests are run, until it is accepted."""
