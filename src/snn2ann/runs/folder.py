"""The names of a run's files, which nothing else spells. Free of torch, so that it loads at once."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        path: the folder; for Snakemake it may hold wildcards.
    """

    path: Path

    @property
    def name(self) -> str:
        """The run's."""
        return self.path.resolve().name

    @property
    def spec(self) -> Path:
        """What the run is: everything that can change its weights."""
        return self.path / "run.yaml"

    @property
    def weights(self) -> Path:
        """The selected epoch's."""
        return self.path / "weights.safetensors"

    @property
    def thresholds(self) -> Path:
        """The selected epoch's."""
        return self.path / "thresholds.safetensors"

    @property
    def last(self) -> "RunFolder":
        """Holds weights and thresholds of the last epoch."""
        return RunFolder(self.path / "last")

    @property
    def history(self) -> Path:
        """A row an epoch."""
        return self.path / "history.csv"

    @property
    def layers(self) -> Path:
        """A row an epoch and layer."""
        return self.path / "layers.csv"

    @property
    def training(self) -> Path:
        """What training came to and was made with; written last."""
        return self.path / "training.json"

    @property
    def snapshot(self) -> Path:
        """What training is made with, written when it begins."""
        return self.path / "snapshot.json"

    @property
    def checkpoint(self) -> Path:
        """The whole state of a training that is not over."""
        return self.path / "checkpoint.pt"

    @property
    def live(self) -> "RunFolder":
        """Holds the curves so far of a training that is not over."""
        return RunFolder(self.path / "live")

    @property
    def process(self) -> Path:
        """Beside the curves so far: where the training runs."""
        return self.path / "process.json"

    @property
    def trained(self) -> bool:
        """Whether training is over."""
        return self.training.exists()

    @property
    def digests(self) -> Path:
        """Of weights and thresholds that stayed where the run was made, as `sha256sum` writes them."""
        return self.path / "made-elsewhere.sha256"

    @property
    def records_only(self) -> bool:
        """Whether the run was unpacked, so that its weights are elsewhere."""
        return self.digests.exists() and not self.weights.exists()

    def calibration(self, digest: str) -> Path:
        """The record of a calibration."""
        return self.path / f"calibration-{digest}.json"

    def calibrated_thresholds(self, digest: str) -> Path:
        """The thresholds of a calibration."""
        return self.path / f"thresholds-{digest}.safetensors"

    def evaluation(self, digest: str) -> Path:
        """What was measured of the trained network."""
        return self.path / f"evaluation-{digest}.json"

    def evaluations(self) -> list[Path]:
        """The evaluations that are there."""
        return sorted(self.path.glob(self.evaluation("*").name))


def calibrated_thresholds(calibration: Path) -> Path:
    """Where the thresholds of a calibration's record lie."""
    folder, (before, after) = RunFolder(calibration.parent), RunFolder(Path()).calibration("*").name.split("*")
    return folder.calibrated_thresholds(calibration.name.removeprefix(before).removesuffix(after))


def compared_files(run: RunFolder) -> tuple[Path, ...]:
    """The files that training the same run again writes with the same bytes."""
    return (run.weights, run.thresholds, run.last.weights, run.last.thresholds, run.layers)


def trained_files(run: RunFolder) -> tuple[Path, ...]:
    """The files that training leaves."""
    return (run.spec, *compared_files(run), run.history, run.training)


def find_folders(root: Path) -> list[RunFolder]:
    """The runs under a folder, by name."""
    return [RunFolder(path.parent) for path in sorted(root.glob(f"*/{RunFolder(Path()).spec.name}"))]
