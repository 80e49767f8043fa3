"""The stages of a model, as tests look at them."""

from collections.abc import Callable

from torch import nn

from snn2ann.engine.signals import Observation, Observer
from snn2ann.engine.stages import Layer, firing
from snn2ann.methods.model import Model


def layers_of(model: Model) -> list[Layer]:
    """The layers of a network that is made of nothing else, in order."""
    return [stage for stage in model.network.stages() if isinstance(stage, Layer)]


def of_layers(observe: Callable[[Observation], object]) -> Observer:
    """Show an observer the stages that have neurons, and no others."""

    def shown(seen: Observation) -> None:
        if firing(seen.stage):
            observe(seen)

    return shown


def norm_of(layer: Layer) -> nn.BatchNorm2d:
    """A layer's BatchNorm."""
    assert isinstance(layer.main.norm, nn.BatchNorm2d)
    return layer.main.norm


def classifier_of(model: Model) -> nn.Linear:
    """The linear layer that reads out."""
    classifier = model.network.model.get_submodule("classifier")
    assert isinstance(classifier, nn.Linear)
    return classifier
