"""How layers are run: neurons, dropout, pooling, counts, and events on a CPU."""
