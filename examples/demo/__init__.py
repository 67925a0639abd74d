"""The demonstration: five faces of holdfast at work on one database."""
