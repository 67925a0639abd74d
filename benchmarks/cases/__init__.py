"""The cases, one to a file. Each has ``run(backend, sizes)``, which gives its rows; its first lines say how it measures."""
