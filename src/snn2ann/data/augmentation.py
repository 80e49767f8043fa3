"""Random crop and flip of a whole batch at once, by NumPy or where the images lie on a device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from snn2ann.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_OPTIONS = ("crop_padding", "horizontal_flip")


@dataclass(frozen=True)
class Augmentation:
    """The draws of one epoch, one for each image of a split.

    Attributes:
        padding: pixels of zeros put on each side before the crop.
        rows: int [n], top of the crop in the padded image, 0 to 2 · padding; likewise `columns`.
        flips: bool [n], whether the crop is mirrored left to right.
    """

    padding: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    flips: NDArray[np.bool_]

    @classmethod
    def draw(cls, options: Mapping[str, Any] | None, count: int, seed: int, epoch: int) -> Self:
        """Draw for `count` images; None as `options` draws what changes nothing.

        Raises:
            UserError: an option that there is not.
        """
        options = options or {}
        for key in options:
            if key not in _OPTIONS:
                raise UserError(f"augmentation.{key}: unknown; {' or '.join(_OPTIONS)} expected")
        padding = options.get("crop_padding", 0)
        generator = np.random.default_rng([seed, epoch, 1])
        rows, columns = generator.integers(0, 2 * padding + 1, (2, count))
        flips = generator.random(count) < 0.5
        if not options.get("horizontal_flip", False):
            flips[:] = False
        return cls(padding, rows, columns, flips)

    def apply(self, images: NDArray[Any], positions: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[Any]:
        """Gather and augment a batch.

        Args:
            images: [N, C, H, W], memory-mapped.
            positions: int64 [B], which of the N.
            places: int64 [B], which of the n draws.

        Returns:
            [B, C, H, W], of the images' type.
        """
        crops = self._crop(images, positions, places) if self.padding else images[positions]
        mirrored = np.flatnonzero(self.flips[places])
        crops[mirrored] = crops[mirrored][..., ::-1]
        return crops

    def on(self, device: "torch.device") -> "AugmentationThere":
        """Bring the draws to a device."""
        import torch

        rows, columns, flips = (torch.from_numpy(each).to(device) for each in (self.rows, self.columns, self.flips))
        return AugmentationThere(self.padding, rows, columns, flips)

    def _crop(self, images: NDArray[Any], positions: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[Any]:
        pad, (height, width) = self.padding, images.shape[2:]
        padded = np.zeros((len(positions), images.shape[1], height + 2 * pad, width + 2 * pad), images.dtype)
        padded[:, :, pad : pad + height, pad : pad + width] = images[positions]
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))
        batch = np.arange(len(positions))
        return windows[batch, :, self.rows[places], self.columns[places]]


@dataclass(frozen=True)
class AugmentationThere:
    """`Augmentation` on a device: the same pixels, and nothing travels."""

    padding: int
    rows: "Tensor"
    columns: "Tensor"
    flips: "Tensor"

    def apply(self, images: "Tensor", positions: "Tensor", places: "Tensor") -> "Tensor":
        """Gather and augment a batch, as `Augmentation.apply` does.

        Args:
            images: [N, C, H, W].
            positions: int64 [B], which of the N.
            places: int64 [B], which of the n draws.

        Returns:
            [B, C, H, W], of the images' type.
        """
        import torch

        taken, pad = images[positions], self.padding
        if pad:
            height, width = taken.shape[2:]
            padded = torch.nn.functional.pad(taken, (pad, pad, pad, pad))
            rows = self.rows[places][:, None] + torch.arange(height, device=taken.device)
            columns = self.columns[places][:, None] + torch.arange(width, device=taken.device)
            batch = torch.arange(len(taken), device=taken.device)[:, None, None]
            # Indices that are apart put their axes first: [B, H, W, C].
            taken = padded[batch, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
        return torch.where(self.flips[places][:, None, None, None], taken.flip(-1), taken)
