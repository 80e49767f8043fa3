"""Train one run: from its specification and a prepared data set to the files of its folder."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snn2ann.data.loading import PreparedDataset, batches, spans, stored_on
from snn2ann.engine import processes
from snn2ann.engine.finite import check_finite
from snn2ann.methods.build import build_model, placed
from snn2ann.methods.model import Model
from snn2ann.parameters.recipe import Recipe
from snn2ann.parameters.whole import part_of
from snn2ann.progress import progress
from snn2ann.runs.folder import RunFolder
from snn2ann.runs.made_with import snapshot
from snn2ann.runs.weights import State, load_state, split_state
from snn2ann.training.accuracy import Score, score
from snn2ann.training.captured import CapturedStep
from snn2ann.training.checkpoint import load_checkpoint, save_checkpoint
from snn2ann.training.finished import write_run
from snn2ann.training.finite_record import FiniteRecord
from snn2ann.training.layer_record import LayerRecord
from snn2ann.training.live import LiveFiles
from snn2ann.training.precision import single_precision
from snn2ann.training.recipe import build_loss, build_optimiser, build_schedule
from snn2ann.training.step import EagerStep, Step

CHECKPOINT_SECONDS = 60.0


@dataclass
class Trainer:
    """A training run under way.

    Attributes:
        spec: the run's specification.
        dataset: prepared images.
        model: on its device.
        device: where it trains.
        history: a row an epoch.
        seconds: training time so far, without validation.
        best: selected epoch, its validation accuracy, and the state of then; or the mean of the last ones.
    """

    spec: Mapping[str, Any]
    dataset: PreparedDataset
    model: Model
    device: torch.device
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recipe = recipe = part_of(Recipe, self.spec["recipe"], "recipe")
        self.record = LayerRecord(self.model)
        self.finite = FiniteRecord(self.model.network)
        self.loss = build_loss(recipe)
        self.optimiser = build_optimiser(self.model.parameters(), recipe)
        images = len(self.dataset.indices["train"])
        self.smallest = max(self.model.network.smallest_batch, processes.number())
        self.spans = spans(images, recipe.batch_size, self.smallest)
        self.batches = len(self.spans)
        self.stored = stored_on(self.dataset, self.device)
        self.schedule = build_schedule(self.optimiser, recipe, self.batches)
        eager = EagerStep(self.model, recipe, self.optimiser, self.loss, self.record.observe)
        # Elsewhere the same step is run eagerly.
        self.step: Step = CapturedStep(eager) if recipe.cuda_graph and self.device.type == "cuda" else eager

    def run(self, checkpoint: Path, live: LiveFiles) -> None:
        """Train all epochs, going on from `checkpoint` if it holds this run's state.

        Raises:
            UserError: the loss, a weight, a statistic or a threshold is not finite.
        """
        self._restore(checkpoint)
        if not self.history:
            self.record.close_epoch(0)
        live.update(self.history, self.record.rows)
        epochs = self.recipe.epochs
        saved = time.monotonic()
        with progress(
            self.spec["method"]["name"], epochs - len(self.history), "epoch", shown=not processes.rank()
        ) as advance:
            for epoch in range(len(self.history) + 1, epochs + 1):
                row = self._epoch(epoch)
                live.update(self.history, self.record.rows)
                advance(f"loss {row['train_loss']:.3f}, validation {row['validation_accuracy']:.2%}")
                due = time.monotonic() - saved > CHECKPOINT_SECONDS and epoch < epochs
                if due and not processes.rank():
                    save_checkpoint(checkpoint, self._state())
                    saved = time.monotonic()

    def _epoch(self, epoch: int) -> dict[str, Any]:
        learning_rate = float(self.schedule.get_last_lr()[0])
        start = time.perf_counter()
        train = self._pass(epoch)
        self.seconds += time.perf_counter() - start
        self.finite.close_epoch(epoch)
        self.record.close_epoch(epoch)
        validation = score(self.model, self.evaluation_batches("validation", processes.part()), self.loss)
        row = {
            "epoch": epoch,
            "seconds": round(self.seconds, 6),
            "learning_rate": learning_rate,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "ann_branch_validation_accuracy": validation.ann_accuracy,
        }
        self.history.append(row)
        self._select(epoch, validation.accuracy)
        return row

    def _select(self, epoch: int, accuracy: float) -> None:
        """Keep the epoch's state if it is the one to evaluate so far, or take it into the mean."""
        select, averaged = self.recipe.select, 0
        if select == "average":
            averaged = max(epoch - (self.recipe.epochs - averaged_epochs(self.recipe.epochs)), 0)
        # Of equal epochs the later one, whose learning rate is lower.
        elif select == "best" and self.best and accuracy < self.best["accuracy"]:
            return
        weights, thresholds = split_state(self.model)
        if averaged > 1:
            weights = mean_state(self.best["weights"], weights, averaged)
            thresholds = mean_state(self.best["thresholds"], thresholds, averaged)
        self.best = {"epoch": epoch, "accuracy": accuracy, "weights": weights, "thresholds": thresholds}

    def _pass(self, epoch: int) -> Score:
        self.model.train()
        # Dropout draws are a function of seed and epoch, so that a resumed run goes the way of an unbroken one.
        # Each process drops other neurons.
        torch.manual_seed(1_000_003 * self.spec["seed"] + epoch + (processes.rank() << 40))
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device, dtype=torch.long)
        epochs = self.recipe.epochs
        for batch, (images, labels) in enumerate(self.training_batches(epoch)):
            whole = self.spans[batch].stop - self.spans[batch].start
            summed, right = self.step(images, labels, whole, (epoch - 1 + batch / self.batches) / epochs)
            self.schedule.step()
            self.finite.note(summed)
            loss_sum += summed
            correct += right
        images_of_all = len(self.dataset.indices["train"])
        loss_sum, correct = (processes.sum_of_all(value) for value in (loss_sum, correct))
        return Score(float(loss_sum) / images_of_all, int(correct) / images_of_all, None)

    def training_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled, augmented batches of an epoch; a last image that BatchNorm cannot normalise joins those before."""
        return batches(
            self.dataset,
            "train",
            self.recipe.batch_size,
            normalisation=self.recipe.channels,
            augmentation=self.recipe.augmentation.as_given(),
            shuffle=True,
            seed=self.spec["seed"],
            epoch=epoch,
            device=str(self.device),
            smallest=self.smallest,
            part=processes.part(),
            stored=self.stored,
        )

    def evaluation_batches(self, split: str, part: tuple[int, int] = (0, 1)) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of a split, in order and as they are; or this process's part of them."""
        return plain_batches(self.dataset, split, self.recipe.batch_size, self.recipe.channels, str(self.device), part)

    def _state(self) -> dict[str, Any]:
        return {
            "identity": self.spec,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "layers": self.record.rows,
            "seconds": self.seconds,
            "best": self.best,
        }

    def _restore(self, checkpoint: Path) -> None:
        state = load_checkpoint(checkpoint, self.spec)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.history, self.record.rows = state["history"], state["layers"]
        self.seconds, self.best = state["seconds"], state["best"]


def averaged_epochs(epochs: int) -> int:
    """How many of the last epochs `select: average` takes: a quarter of them, rounded up."""
    return -(-epochs // 4)


def mean_state(mean: State, new: State, count: int) -> State:
    """Take the `count`th state into the mean of those before it; numbers that are no fractions are the new state's."""
    return {
        name: mean[name] + (value - mean[name]) / count if value.is_floating_point() else value
        for name, value in new.items()
    }


def plain_batches(
    dataset: PreparedDataset,
    split: str,
    batch_size: int,
    normalisation: Mapping[str, Any] | None,
    device: str,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a split, in order and not augmented: images [B, C, H, W] and labels [B]."""
    return batches(
        dataset,
        split,
        batch_size,
        normalisation=normalisation,
        augmentation=None,
        shuffle=False,
        seed=0,
        epoch=0,
        device=device,
        part=part,
    )


def train(
    spec: Mapping[str, Any],
    dataset: PreparedDataset,
    output: Path,
    device: str,
    source: Path | None = None,
) -> None:
    """Train (or convert) a run and write its folder; of several processes, each trains on its part of every batch.

    Args:
        spec: the run's specification.
        dataset: prepared images.
        output: the run's folder.
        device: a torch device.
        source: folder of the run whose weights this one starts from.

    Raises:
        UserError: the source's weights are missing or damaged, or the training is not finite.
    """
    run, first = RunFolder(output), not processes.rank()
    torch.manual_seed(spec["seed"])
    model = placed(build_model(spec), device)
    if source is not None:
        load_state(model, RunFolder(source).weights)
    if processes.several():
        # The same statistics everywhere, of the whole batch.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    made_with = snapshot(output, goes_on=run.checkpoint.exists()) if first else None
    trainer = Trainer(spec, dataset, model, torch.device(device))
    live = LiveFiles(run, spec, works=first)
    if model.trains:
        with single_precision(trainer.recipe.precision):
            trainer.run(run.checkpoint, live)
    else:
        model.convert(images for images, _ in trainer.evaluation_batches("train"))
        weights, thresholds = split_state(model)
        check_finite(weights | thresholds, spec["method"]["name"])
        trainer.best = {"epoch": 0, "weights": weights, "thresholds": thresholds}
    if made_with is None:
        return
    write_run(
        run,
        spec,
        selected=(trainer.best["weights"], trainer.best["thresholds"]),
        last=split_state(model),
        history=trainer.history,
        layers=trainer.record.rows,
        facts={
            "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
            "selected_epoch": trainer.best["epoch"],
            "epochs": len(trainer.history),
            "seconds": trainer.seconds,
            "device": str(trainer.device),
            "threads": torch.get_num_threads(),
            **({"processes": processes.number()} if processes.several() else {}),
            **made_with,
        },
    )
    run.checkpoint.unlink(missing_ok=True)
    live.remove()
