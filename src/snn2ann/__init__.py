"""SNN2ANN, reproduced: training spiking neural networks through an ANN that shares their weights."""

__version__ = "0.1.0"
