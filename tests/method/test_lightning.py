"""A coupled network in PyTorch Lightning's loop."""

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from snn2ann import couple
from tests.method.test_usual_training import LABELS, loss_of, network

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
EPOCHS = 4


class Lit(lightning.LightningModule):
    """A coupled network in Lightning's loop."""

    def __init__(self) -> None:
        super().__init__()
        self.coupled = couple(network(), time_steps=4, image_shape=(1, 8, 8), threshold_start=0.05)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        self.coupled.progress = self.global_step / self.trainer.estimated_stepping_batches
        return loss_of(self.coupled, *batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        images, labels = batch
        self.log("accuracy", (self.coupled(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fitted(folder: Path, *, until: int = EPOCHS, goes_on_from: Path | None = None) -> tuple[Lit, lightning.Trainer]:
    """Train by Lightning, and stop after some epochs."""
    torch.manual_seed(0)
    lit = Lit()
    stop = lightning.pytorch.callbacks.LambdaCallback(
        on_train_epoch_end=lambda trainer, _: setattr(trainer, "should_stop", trainer.current_epoch + 1 == until)
    )
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        default_root_dir=folder,
        enable_checkpointing=False,
        callbacks=[stop],
        **quiet,
    )
    batches = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)
    trainer.fit(lit, batches, batches, ckpt_path=goes_on_from)
    return lit, trainer


def test_lightning_trains_and_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    unbroken, trainer = fitted(tmp_path)
    _, half = fitted(tmp_path, until=2)
    half.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = fitted(tmp_path, goes_on_from=tmp_path / "half.ckpt")
    state, start = unbroken.coupled.state_dict(), Lit().coupled.state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in state.items() if name.endswith("threshold"))
    for name, value in resumed.coupled.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert 0 <= float(trainer.callback_metrics["accuracy"]) <= 1
    read = Lit.load_from_checkpoint(tmp_path / "half.ckpt")
    assert read.coupled.eval()(IMAGES).shape == (8, 4)
