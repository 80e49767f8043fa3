"""The authors' own checkpoints as runs: files that their demo writes and reads, under the names of its modules."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snn2ann.engine.finite import check_finite
from snn2ann.errors import UserError
from snn2ann.methods.build import build_model
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.made_with import snapshot
from snn2ann.runs.weights import State, difference, split_state
from snn2ann.study import resolve
from snn2ann.training.finished import write_run

# Where a file may keep its tensors: the demo's own under the first.
NESTED = ("state_dict", "net", "model")


@dataclass(frozen=True)
class Kind:
    """A network of the demo.

    Attributes:
        network: its name in params.yaml.
        time_steps: T that its authors give for it.
        first: a name by which its files are known.
        names: patterns of our names, and the demo's name for each.
    """

    network: str
    time_steps: int
    first: str
    names: tuple[tuple[str, str], ...]

    def name_of(self, ours: str) -> str:
        """The demo's name of one of our tensors."""
        for pattern, theirs in self.names:
            if found := re.fullmatch(pattern, ours):
                return found.expand(theirs)
        raise UserError(f"{ours}: the demo's {self.network} has no such part; give one of its kind with --network")


VGG = Kind(
    "vgg-13",
    4,
    "block1.conv1.weight",
    (
        (r"layers\.block(\d+)_(\d+)\.convolution\.(\w+)", r"block\1.conv\2.\3"),
        (r"layers\.block(\d+)_(\d+)\.norm\.(\w+)", r"block\1.bn\2.\3"),
        (r"layers\.block(\d+)_(\d+)\.threshold", r"block\1.w_conv\2.spike.Vth"),
        (r"classifier\.(\w+)", r"cls.\1"),
    ),
)
RESNET = Kind(
    "resnet-17",
    5,
    "cnn00.weight",
    (
        (r"stem\.convolution\.(\w+)", r"cnn00.\1"),
        (r"stem\.norm\.(\w+)", r"bn00.\1"),
        (r"stem\.threshold", r"w_cnn00.spike.Vth"),
        (r"blocks\.stage(\d+)_(\d+)\.first\.convolution\.(\w+)", r"block\1\2.conv1.\3"),
        (r"blocks\.stage(\d+)_(\d+)\.first\.norm\.(\w+)", r"block\1\2.bn1.\3"),
        (r"blocks\.stage(\d+)_(\d+)\.first\.threshold", r"block\1\2.w_conv1.spike.Vth"),
        (r"blocks\.stage(\d+)_(\d+)\.second\.convolution\.(\w+)", r"block\1\2.conv2.\3"),
        (r"blocks\.stage(\d+)_(\d+)\.second\.norm\.(\w+)", r"block\1\2.bn2.\3"),
        (r"blocks\.stage(\d+)_(\d+)\.second\.threshold", r"block\1\2.IF.Vth"),
        (r"blocks\.stage(\d+)_(\d+)\.second\.shortcut\.convolution\.(\w+)", r"block\1\2.sample.conv1x1.\3"),
        (r"blocks\.stage(\d+)_(\d+)\.second\.shortcut\.norm\.(\w+)", r"block\1\2.sample.bn.\3"),
        (r"classifier\.(\w+)", r"fc2.\1"),
    ),
)
# What files hold and the demo's networks do not run, with why.
UNUSED = (
    (
        r"block\d+\.w_conv\d+\.pool_spike\.Vth",
        "thresholds before an average pooling, where the network pools by maxima",
    ),
    (r"block\d\d\.w_conv2\.spike\.Vth", "thresholds before a shortcut is added; the neurons after it have their own"),
    (
        r"block\d\d\.wsample\.w_conv1x1\.spike\.Vth",
        "thresholds of a shortcut, whose current is added and not its spikes",
    ),
    (r"block\d\d\.sample\..*", "convolutions of a shortcut, where the block keeps channels and size"),
)


@dataclass(frozen=True)
class Choice:
    """What a file does not say of itself.

    Attributes:
        dataset: what it was trained on.
        mapping_unit: with which it was trained.
        recipe: of params.yaml, by whose normalisation it is given images.
        network: of params.yaml; None for that which its authors name.
        time_steps: T; None for that which its authors name.
    """

    dataset: str
    mapping_unit: str
    recipe: str = "paper"
    network: str | None = None
    time_steps: int | None = None


@dataclass(frozen=True)
class Imported:
    """A run that a file was made into.

    Attributes:
        run: its folder.
        entry: what names it in a study's `runs`.
        unused: the file's tensors that the network does not run, by why.
    """

    run: RunFolder
    entry: dict[str, Any]
    unused: dict[str, list[str]]


def import_checkpoint(file: Path, parameters: Mapping[str, Any], choice: Choice, runs: Path) -> Imported:
    """Make a run of a file of the demo; nothing of it is executed.

    Args:
        file: as `torch.save` writes it: the tensors, or a map that holds them under one of `NESTED`.
        parameters: as `load_parameters` gives them.
        choice: what the file does not say.
        runs: folder of all runs.

    Raises:
        UserError: the file cannot be read, or is not of the network that was chosen.
    """
    content = _read(file)
    found = _tensors(content, file)
    kind = next((each for each in (VGG, RESNET) if each.first in found), None)
    if kind is None:
        expected = " or ".join(f"{each.first} ({each.network})" for each in (VGG, RESNET))
        raise UserError(f"{file}: no network of the authors' demo: {expected} expected, found {_some(list(found))}")
    entry = {
        "method": "authors",
        "networks": [choice.network or kind.network],
        "time_steps": choice.time_steps or kind.time_steps,
        "mapping_unit": choice.mapping_unit,
        "checkpoint": hashlib.sha256(file.read_bytes()).hexdigest()[:8],
    }
    (run,) = resolve({**parameters, "studies": _study(parameters, entry, choice)}, _STUDY).runs
    model = build_model(run.spec)
    own = split_state(model)
    selected, unused = _renamed(found, own, kind, file)
    folder = RunFolder(runs / run.name)
    made_with = snapshot(folder.path, goes_on=False)
    facts = {
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "selected_epoch": 0,
        "epochs": 0,
        "seconds": 0.0,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "imported": {"file": file.name, "unused": [name for names in unused.values() for name in names]},
        **made_with,
    }
    write_run(folder, run.spec, selected=selected, last=selected, facts=facts)
    return Imported(folder, entry, unused)


_STUDY = "imported-checkpoint"


def _study(parameters: Mapping[str, Any], entry: dict[str, Any], choice: Choice) -> dict[str, Any]:
    """The studies, with one more that is the entry alone."""
    own = {"title": "An imported checkpoint", "datasets": [choice.dataset], "networks": entry["networks"], "seeds": [0]}
    return {**parameters["studies"], _STUDY: own | {"recipe": choice.recipe, "runs": [entry]}}


def _read(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); give the path of a downloaded checkpoint"
        ) from error
    except Exception as error:  # a file that is none can raise nearly anything
        raise UserError(
            f"{file}: not a file of tensors, numbers and words alone, which is all that is read of it "
            f"({type(error).__name__}); download it again, or write its `state_dict` to a file of its own"
        ) from error


def _tensors(content: Any, file: Path) -> State:
    """The tensors by name, without what wrappers put before it."""
    while isinstance(content, Mapping) and (inner := next((key for key in NESTED if key in content), None)):
        content = content[inner]
    if not isinstance(content, Mapping) or not content:
        kind = type(content).__name__ if content or not isinstance(content, Mapping) else "nothing"
        raise UserError(f"{file}: a map from name to tensor expected, alone or under {', '.join(NESTED)}; found {kind}")
    wrong = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if wrong:
        raise UserError(f"{file}: tensors alone expected under a network's names; {_some(wrong)} hold something else")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def _renamed(
    found: State, own: tuple[State, State], kind: Kind, file: Path
) -> tuple[tuple[State, State], dict[str, list[str]]]:
    """The network's weights and thresholds by our names, and the names of what it does not run."""
    theirs = {name: kind.name_of(name) for part in own for name in part}
    expected = {theirs[name]: value for part in own for name, value in part.items()}
    # Older versions of PyTorch count no batches; nothing depends on how many they were.
    counted = {name: value for name, value in expected.items() if name.endswith(".num_batches_tracked")}
    unused: dict[str, list[str]] = {}
    for name in [name for name in found if name not in expected]:
        if why := next((why for pattern, why in UNUSED if re.fullmatch(pattern, name)), None):
            unused.setdefault(why, []).append(name)
    left = {name for names in unused.values() for name in names}
    taken = counted | {name: value for name, value in found.items() if name not in left}
    if problem := difference(taken, expected):
        advice = "name the data set that it was trained on by --dataset, its network by --network"
        raise UserError(f"{file}: not {kind.network} of the authors' demo for such images ({problem}); {advice}")
    check_finite(taken, str(file))
    weights, thresholds = ({name: taken[theirs[name]].to(value.dtype) for name, value in part.items()} for part in own)
    return (weights, thresholds), unused


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
