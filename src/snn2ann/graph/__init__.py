"""The method for a network of one's own: coupled, trained in one's own loop, and given back as a spiking network."""
