"""The work queue of a server: the methods of the local one, over HTTP."""
