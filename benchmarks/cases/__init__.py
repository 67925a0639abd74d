"""The cases, one to a file. Each has ``run(backend, sizes)``, which gives its rows, and says first how it measures."""
