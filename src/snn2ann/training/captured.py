"""A training step as one CUDA graph: recorded once, then started as a whole, so that no step waits for Python."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from snn2ann.errors import UserError
from snn2ann.training.step import EagerStep

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
# Libraries choose their algorithms and optimisers make their moments in the first steps, which no graph may hold.
WARM_UP_STEPS = 3


def record_cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Record what `work` starts on the GPU, without running it; give what runs it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def aside(work: Callable[[], None]) -> None:
    """Run on a stream of its own, as PyTorch asks of the steps before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)


@dataclass
class CapturedStep:
    """A step that is recorded and started again; batches of another size than the first are run eagerly.

    It is recorded anew where another phase of the training begins. All else that changes from step to step is a tensor at a
    fixed place: images, labels, progress, learning rate, moments, and the sums that the observer keeps.

    Attributes:
        eager: what is recorded; its optimiser's learning rate is a tensor.
        recorder: records and gives what runs the record.
        warm_up: runs a step before that.
        phase: of the training that the record is of; a batch that is run eagerly may have begun another one meanwhile.
    """

    eager: EagerStep
    recorder: Recorder = record_cuda_graph
    warm_up: Callable[[Callable[[], None]], None] = aside
    seen: int = 0
    place: tuple[Tensor, Tensor, Tensor] | None = None
    phase: int = 0
    replay: Callable[[], None] | None = None
    result: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor, labels: Tensor, whole: int, progress: float) -> tuple[Tensor, Tensor]:
        """As in `Step`; what is returned is overwritten by the next step.

        Raises:
            UserError: the method asks the host for a number, so that its step cannot be recorded.
        """
        if self.place is None:
            self.place = images.clone(), labels.clone(), torch.zeros((), dtype=torch.float64, device=labels.device)
        if labels.shape != self.place[1].shape:
            return self.eager(images, labels, whole, progress)
        self._begin(self.eager.model.phase_at(progress))
        for there, new in zip(self.place, (images, labels), strict=False):
            there.copy_(new)
        self.place[2].fill_(progress)
        self.seen += 1
        if self.seen <= WARM_UP_STEPS:
            self.warm_up(self._work)
        else:
            self.replay = self.replay or self._record()
            self.replay()
        assert self.result is not None
        return self.result

    def _begin(self, phase: int) -> None:
        """Forget the record where a step is other operations from now on."""
        self.eager.model.phase = phase
        if phase != self.phase:
            self.phase, self.seen, self.replay = phase, 0, None

    def _work(self) -> None:
        assert self.place is not None
        images, labels, progress = self.place
        # One process has the whole batch.
        self.result = self.eager(images, labels, len(labels), progress)

    def _record(self) -> Callable[[], None]:
        try:
            return self.recorder(self._work)
        except RuntimeError as error:
            name = type(self.eager.model).__name__
            raise UserError(
                f"recipe.cuda_graph: a step of {name} cannot be recorded as a CUDA graph; leave the option out. "
                f"PyTorch says: {error}"
            ) from error
