"""A captured step is the eager step, and holds no number of Python's that changes from step to step."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.options import VARIANTS
from snn2ann.runs.weights import split_state
from snn2ann.study import load_parameters, resolve
from snn2ann.training.captured import WARM_UP_STEPS, CapturedStep
from snn2ann.training.checkpoint import save_checkpoint
from snn2ann.training.loop import Trainer
from tests.evaluation.test_pretended import COUPLED, METHOD_NAMES, NETWORKS
from tests.recipes import PLAIN
from tests.training.test_training_revision import images

TINY = Path(__file__).parents[1] / "workflow/params.yaml"
NAMES = [name for name in METHOD_NAMES if METHODS[name].cuda_graph]


class Graph(TorchDispatchMode):
    """As a CUDA graph: the operations that were started, their numbers as they were then, their tensors where they lie.

    Unlike a CUDA graph it runs what it records; so the first replay does nothing.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.played = False

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        given = function(*arguments, **(named or {}))
        self.operations.append((function, arguments, named or {}, given))
        return given

    @torch.no_grad()
    def replay(self) -> None:
        """Run all again, into the same places."""
        if self.played:
            for function, arguments, named, before in self.operations:
                for old, new in zip(tree_leaves(before), tree_leaves(function(*arguments, **named)), strict=True):
                    if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)
        self.played = True


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    graph = Graph()
    with graph:
        work()
    return graph.replay


def trainer(name: str, network: str, **recipe: Any) -> Trainer:
    method, *words = name.split()
    options = asdict(VARIANTS[words[0]]) if words else METHODS[method].defaults
    options |= {"threshold_descent": 0.05} if "learned" in words else {}
    options |= {"quantised_share": float(words[-1])} if "quantised" in words else {}
    spec = {
        "dataset": {"shape": (2, 8, 8), "classes": 3},
        "network": {"name": network, "initialisation": "default", **NETWORKS[network]},
        "method": {"name": method, "time_steps": 3 if METHODS[method].time_steps else None, "options": options},
        "recipe": PLAIN
        | {
            "epochs": 2,
            # Six steps an epoch, the last of them of four images.
            "batch_size": 7,
            "optimizer": "adam",
            "learning_rate": 0.02,
            "schedule": {"kind": "one-cycle", "warmup": 0.3},
            "cuda_graph": True,
        }
        | recipe,
        "seed": 1,
        "source": None,
    }
    torch.manual_seed(1)
    return Trainer(spec, images(), build_model(spec), torch.device("cpu"))


def trained(by: Trainer) -> tuple[dict[str, Tensor], list[Any], list[float]]:
    losses = []
    for epoch in (1, 2):
        losses.append(by._pass(epoch).loss)
        by.record.close_epoch(epoch)
    weights, thresholds = split_state(by.model)
    return weights | thresholds, by.record.rows, losses


def capturing(by: Trainer) -> CapturedStep:
    assert not isinstance(by.step, CapturedStep)
    by.step = step = CapturedStep(by.step, recorded, lambda work: work())  # type: ignore[arg-type]
    return step


def test_it_is_recorded_after_the_steps_that_warm_up() -> None:
    by, order = trainer("ann", "vgg"), []
    step = capturing(by)

    def warm_up(work: Callable[[], None]) -> None:
        order.append("eager")
        work()

    def record(work: Callable[[], None]) -> Callable[[], None]:
        order.append("recorded")
        return recorded(work)

    step.warm_up, step.recorder = warm_up, record
    trained(by)
    assert order == ["eager"] * WARM_UP_STEPS + ["recorded"]


def check_equal(name: str, network: str, **recipe: Any) -> None:
    eager, other = trainer(name, network, **recipe), trainer(name, network, **recipe)
    step = capturing(other)
    (state, rows, losses), (same, same_rows, same_losses) = trained(eager), trained(other)
    assert step.replay is not None
    # Of twelve steps, two are of fewer images; where neurons are run in the second half alone, it is recorded anew for them.
    assert step.seen == (5 if "quantised" in name else 10) > WARM_UP_STEPS + 1
    for key, value in state.items():
        assert torch.equal(same[key], value), key
    assert same_rows == rows
    assert same_losses == losses


@pytest.fixture(autouse=True)
def dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNN2ANN_ENGINE", "torch")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", NAMES + COUPLED)
def test_a_captured_step_is_the_eager_one(name: str, network: str) -> None:
    check_equal(name, network)


@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "schedule": {"kind": "multi-step", "milestones": [1], "gamma": 0.1}},
        {"optimizer": "adamw", "micro_batches": 2},
        {"precision": "bf16"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["ann", "snn2ann refined", "snn2ann refined learned", "snn2ann refined quantised 0.5"])
def test_so_it_is_with_every_optimiser_in_parts_and_in_bfloat16(name: str, recipe: dict[str, Any]) -> None:
    check_equal(name, "vgg", **recipe)


@pytest.mark.parametrize("variant", [*VARIANTS, "refined learned", "refined quantised 0.5"])
def test_so_it_is_by_the_kernels_of_a_gpu(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    monkeypatch.setenv("SNN2ANN_ENGINE", "triton")
    check_equal(f"snn2ann {variant}", "vgg")


def test_a_phase_that_begins_with_a_batch_of_another_size_is_recorded_anew() -> None:
    """The sixth of twelve steps, the last of its epoch, has fewer images and is the first with neurons."""
    check_equal("snn2ann refined quantised 0.4", "vgg")


def test_going_on_from_a_checkpoint_is_the_unbroken_training(tmp_path: Path) -> None:
    unbroken = trained(trainer("snn2ann refined", "vgg"))
    first = trainer("snn2ann refined", "vgg")
    first._pass(1)
    first.record.close_epoch(1)
    save_checkpoint(tmp_path / "checkpoint", first._state())
    second = trainer("snn2ann refined", "vgg")
    capturing(second)
    second._restore(tmp_path / "checkpoint")
    loss = second._pass(2).loss
    weights, thresholds = split_state(second.model)
    assert loss == unbroken[2][1]
    assert all(torch.equal(value, (weights | thresholds)[key]) for key, value in unbroken[0].items())


def test_a_number_of_pythons_is_found_out() -> None:
    """The comparison can fail: a learning rate that is a number stays in the graph as it was."""
    eager, other = trainer("ann", "vgg"), trainer("ann", "vgg")
    capturing(other)
    other.optimiser.param_groups[0]["lr"] = 0.02
    state, same = trained(eager)[0], trained(other)[0]
    assert not all(torch.equal(same[key], value) for key, value in state.items())


def test_who_asks_the_host_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    by = trainer("ann", "vgg")
    step = capturing(by)
    original = by.model.training_step

    def asking(*arguments: Any) -> Any:
        step = original(*arguments)
        step.loss.item()
        return step

    monkeypatch.setattr(by.model, "training_step", asking)
    with pytest.raises(
        UserError, match=r"recipe\.cuda_graph: a step of PlainAnn cannot be recorded .* leave the option out"
    ):
        trained(by)
    assert step.replay is None


def test_checkpoints_are_refused_before_a_study_starts() -> None:
    parameters = load_parameters(TINY)
    parameters["recipes"]["tiny"]["cuda_graph"] = True
    assert resolve(parameters, "tiny").runs[0].spec["recipe"]["cuda_graph"] is True
    parameters["studies"]["tiny"]["runs"] = [{"method": "checkpointed", "time_steps": 2}]
    message = (
        r"recipes\.tiny\.cuda_graph: true is not allowed with method checkpointed .*give that method a recipe without"
    )
    with pytest.raises(UserError, match=message):
        resolve(parameters, "tiny")
