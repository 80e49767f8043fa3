"""Training in bfloat16: every method takes the step, near to that in single precision, and its state stays single."""

from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from snn2ann.engine import events
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.options import RELEASED
from snn2ann.training.precision import arithmetic
from tests.stages import layers_of

NETWORK = {"kind": "vgg", "blocks": [[6, 6], [8]], "pooled_blocks": [1], "dropout": [0.2, 0]}
DATASET = {"shape": (2, 8, 8), "classes": 5}
TRAINED = [name for name, entry in METHODS.items() if entry.trained]


def gradient(name: str, precision: str) -> Tensor:
    options = asdict(RELEASED) if name == "snn2ann" else METHODS[name].defaults
    method = {"name": name, "time_steps": 4 if METHODS[name].time_steps else None, "options": options}
    torch.manual_seed(0)
    model = build_model({"dataset": DATASET, "network": NETWORK, "method": method}).train()
    images = torch.randn(5, 2, 8, 8)
    convolved: list[torch.dtype] = []
    first = layers_of(model)[0]
    first.main.convolution.register_forward_hook(lambda module, given, out: convolved.append(out.dtype))
    with arithmetic(precision, images.device):
        step = model.training_step(images, torch.arange(5), cross_entropy)
    step.loss.backward()
    assert set(convolved) == {{"fp32": torch.float32, "bf16": torch.bfloat16}[precision]}
    assert {value.dtype for value in model.state_dict().values()} <= {torch.float32, torch.int64}
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(each is not None and each.dtype == torch.float32 for each in gradients)
    return torch.cat([each.flatten() for each in gradients if each is not None])


@pytest.mark.parametrize("by_events", [True, False])
@pytest.mark.parametrize("name", TRAINED)
def test_a_step_in_bfloat16_is_near_to_one_in_single_precision(
    name: str, by_events: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_events:
        monkeypatch.setattr(events, "FEWEST_CHANNELS", 1)
        monkeypatch.setattr(events, "FEWEST_POSITIONS", 1)
    single, half = gradient(name, "fp32"), gradient(name, "bf16")
    assert not torch.equal(single, half)
    # A spike that falls on the other side of its threshold moves a small network's gradient visibly.
    assert torch.cosine_similarity(single, half, dim=0) > 0.85
