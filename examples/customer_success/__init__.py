"""A customer-success queue: customers and their signals in, a ranked queue for each person out."""
