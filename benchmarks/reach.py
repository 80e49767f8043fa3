"""Which of torchvision's families can be coupled: each is trained for a step and deployed, or its refusal is written down.

`python -m benchmarks.reach` measures the smallest member of each, on images as small as it allows, and puts the table into
docs/library.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import models

import snn2ann
from snn2ann.errors import UserError
from snn2ann.report import blocks
from snn2ann.report.parameter_tables import grid

RESULTS, PAGE = Path("benchmarks/results/reach.csv"), Path("docs/library.md")
STEPS, CLASSES = 2, 4


@dataclass(frozen=True)
class Family:
    """A family's smallest member.

    Attributes:
        member: torchvision's name of it.
        side: of an image, in pixels.
        options: what it is built with.
    """

    member: str
    side: int = 32
    options: Mapping[str, Any] = field(default_factory=dict)


_ALONE = {"aux_logits": False, "init_weights": False}
FAMILIES = {
    "AlexNet": Family("alexnet", 63),
    "VGG": Family("vgg11"),
    "VGG with BatchNorm": Family("vgg11_bn"),
    "ResNet": Family("resnet18"),
    "ResNeXt": Family("resnext50_32x4d"),
    "Wide ResNet": Family("wide_resnet50_2"),
    "DenseNet": Family("densenet121"),
    "GoogLeNet": Family("googlenet", 32, _ALONE),
    "Inception v3": Family("inception_v3", 75, _ALONE),
    "SqueezeNet": Family("squeezenet1_1"),
    "RegNet-X": Family("regnet_x_400mf"),
    "MNASNet": Family("mnasnet0_5"),
    "RegNet-Y": Family("regnet_y_400mf"),
    "MobileNet v2": Family("mobilenet_v2"),
    "MobileNet v3": Family("mobilenet_v3_small"),
    "ShuffleNet v2": Family("shufflenet_v2_x0_5"),
    "EfficientNet": Family("efficientnet_b0"),
    "EfficientNet v2": Family("efficientnet_v2_s"),
    "ConvNeXt": Family("convnext_tiny"),
    "ViT": Family("vit_b_32", 224),
    "Swin": Family("swin_t"),
    "MaxViT": Family("maxvit_t", 224),
}


def row(name: str) -> dict[str, Any]:
    """Couple a family's member, train it for a step and deploy it.

    Returns:
        Its layers of neurons, its spikes an image, and by how much logits of what is deployed differ from the branch's; or
        why it is refused.
    """
    family = FAMILIES[name]
    found: dict[str, Any] = {"family": name, "member": family.member, "side": family.side}
    if reasons := refusal(family):
        return found | {"refused": reasons}
    torch.manual_seed(0)
    coupled = snn2ann.couple(built(family), STEPS)
    images = torch.randn(2, 3, family.side, family.side)
    (cross_entropy(coupled.train()(images), torch.tensor([0, 3])) + coupled.price).backward()
    untrained = [
        name for name, value in coupled.named_parameters() if value.grad is None or not value.grad.isfinite().all()
    ]
    # Of two images, a BatchNorm's gradient may be as large as one over its eps.
    nn.utils.clip_grad_norm_(coupled.parameters(), 1.0)
    torch.optim.SGD(coupled.parameters(), 0.01).step()
    logits = coupled.eval()(images)
    return found | {
        "layers": len(coupled.neurons),
        "untrained": len(untrained),
        "spikes": sum(layer.spikes_per_image for layer in coupled.layers()),
        "difference": float((coupled.spiking()(images) - logits).abs().max()),
    }


def built(family: Family) -> nn.Module:
    """Build it; a VGG with a small classifier, whose own has 120 million weights."""
    model: nn.Module = getattr(models, family.member)(num_classes=CLASSES, **family.options)
    if isinstance(model, models.VGG):
        model.classifier[0], model.classifier[3] = nn.Linear(512 * 49, 32), nn.Linear(32, 4096)
    return model


def refusal(family: Family) -> str:
    """Why a member cannot be coupled, without the places; "" where it can. Weights are not made for it, if that goes."""
    try:
        with torch.device("meta"):
            model = built(family)
    except NotImplementedError:
        # RegNet reckons its sizes by tensors.
        model = built(family)
    try:
        snn2ann.couple(model, STEPS)
    except UserError as error:
        lines = str(error).splitlines()[1:]
        return " | ".join(dict.fromkeys(line.partition(": ")[2] for line in lines))
    return ""


def table(path: Path) -> str:
    """The families, in Markdown; of reasons what is wrong, and not the advice."""
    rows = []
    for each in pd.read_csv(path).to_dict("records"):
        coupled = pd.isna(each["refused"])
        reasons = [] if coupled else [reason.partition("; ")[0] for reason in each["refused"].split(" | ")]
        said = [str(int(each["layers"])), f"{each['difference']:g}"] if coupled else ["–", "–"]
        rows.append([each["family"], f"`{each['member']}`", *said, "; ".join(reasons) or "–"])
    return grid(["family", "member", "layers of neurons", "deployed less branch", "refused, since"], rows)


def main() -> None:
    """Measure every family, write the file and fill the table."""
    rows = []
    for name in FAMILIES:
        rows.append(row(name))
        print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(RESULTS, index=False, float_format="%.6g", lineterminator="\n")
    blocks.fill(PAGE, {"reach": table(RESULTS)})


if __name__ == "__main__":
    main()
