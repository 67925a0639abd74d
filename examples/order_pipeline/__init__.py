"""An order in nine phases: models read the papers of a house and write a report on it, which a person approves."""
