"""A run's folder: the names of its files, and reading and writing them."""
