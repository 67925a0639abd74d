"""The check of recorded runs against code: nothing is executed, and nothing is written."""
