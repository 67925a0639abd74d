"""Models that fail safely: reached, called, their answers read and their price found."""
