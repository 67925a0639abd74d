"""A mail desk: every message it reads becomes a durable run that ends as a draft, withheld, or failed."""
