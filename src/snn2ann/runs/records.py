"""The types of what a run's files hold, and of rows of tables."""

from typing import Any, NotRequired, TypedDict

Value = str | int | float | bool | None
Values = dict[str, Value]
"""A row: a value for each column."""


class LayerMeasures(TypedDict):
    """Of one layer; spikes at each T, the rest at the T at which the branches are compared, None without two branches."""

    name: str
    neurons: int
    spikes_per_image: list[float]
    noisy_spike_rate: float | None
    agreement: float | None


class ByClass(TypedDict, total=False):
    """Of data of one's own alone: answers counted by class."""

    balanced_accuracy: list[float]
    confusion: list[list[int]]
    confusion_time_steps: int


class Measures(ByClass):
    """What was measured of a network on one split: lists have a value for each T, and none without time steps."""

    images: int
    ann_accuracy: float | None
    time_steps: list[int]
    accuracy: list[float]
    spikes_per_image: list[float]
    firing_rate: list[float]
    synaptic_operations: list[float]
    multiply_accumulates: float
    energy: list[float]
    ann_energy: float | None
    layers: list[LayerMeasures]


class EvaluationEntry(Measures):
    """One entry of an evaluation: which epoch's weights, with which thresholds, on which images."""

    checkpoint: str
    thresholds: str
    split: str


class Descriptor(TypedDict):
    """What study.json says of a run; `changed` are options that are not the preset's, open as every method's are."""

    name: str
    dataset: str
    network: str
    method: str
    variant: str | None
    mapping_unit: str | None
    ata: bool | None
    training_time_steps: int | None
    seed: int
    changed: dict[str, Any]
    evaluation: str
    calibration: str | None


class Machine(TypedDict):
    """Where something was made."""

    system: str
    processor: str
    cores: int | None
    kernels: NotRequired[str]


class Provenance(TypedDict):
    """What something was made with; without a commit, `no_commit` says why git does not tell it."""

    machine: Machine
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    no_commit: NotRequired[str]


class CodeState(TypedDict):
    """The checkout: its commit, the changes to tracked files as a patch, a digest of the package's code."""

    commit: str | None
    diff: str | None
    code: str


class TrainingRecord(Provenance):
    """What a training came to and was made with."""

    parameters: int
    selected_epoch: int
    epochs: int
    seconds: float
    device: str
    threads: int
    processes: NotRequired[int]


class Snapshot(Provenance):
    """What a training was started with."""

    diff: str | None
    code: str
    started: float
    changed_while_training: bool
