"""The training loop, its record, and going on after a fault."""
