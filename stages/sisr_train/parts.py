"""Random parts of rows, mirrored at random: the same from one seed for any number of processes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.sisr_train.prepared import Batch


@dataclass(frozen=True)
class Cutter:
    """Which parts may be drawn.

    Attributes:
        side: pixels of a side of the input.
        crop: of a part of it.
        unit: parts begin at multiples of so many pixels.
        flips: whether parts are mirrored.
    """

    side: int
    crop: int
    unit: int = 1
    flips: bool = True

    def draw(self, rows: int, seed: tuple[int, ...]) -> NDArray[np.intp]:
        """(rows, 4) first row and column of each part, and whether it is mirrored along each."""
        rng = np.random.default_rng(seed)
        places = rng.integers(0, (self.side - self.crop) // self.unit + 1, (rows, 2)) * self.unit
        turned = rng.integers(0, 2, (rows, 2)) * int(self.flips)
        return np.concatenate([places, turned], 1)

    def cut(self, batch: Batch, drawn: NDArray[np.intp]) -> Batch:
        """The parts of all images of a batch, each on its own grid."""
        return {name: self._cut(images, drawn) for name, images in batch.items()}

    def _cut(self, images: Tensor, drawn: NDArray[np.intp]) -> Tensor:
        cells = images.shape[-1]
        size = self.crop * cells // self.side
        parts = []
        for image, (top, left, down, right) in zip(images, drawn.tolist(), strict=True):
            first, second = (place * cells // self.side for place in (top, left))
            part = image[:, first : first + size, second : second + size]
            axes = [axis for axis, flip in ((1, down), (2, right)) if flip]
            parts.append(part.flip(axes) if axes else part)
        return torch.stack(parts)
