"""What the paper adds: neuron, spiking mapping units, coupled layers, threshold adjustment. Needs torch only."""
