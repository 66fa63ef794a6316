"""Which random view of a tile training sees: numbers that are drawn on the CPU, for every device.

The numbers of a tile are drawn together: the first tiles of many get what fewer tiles get, and a
process that trains on some tiles of a batch takes those rows of the draws.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from shared.segmentation.groups import Views

TRIES = 10  # of a box that lies inside the tile, as torchvision's RandomResizedCrop
FIXED = 14  # numbers that are drawn for a tile, besides four for each try


@dataclass(frozen=True)
class Drawn:
    """One random view for each of N tiles, on the CPU.

    Attributes:
        flips: (N, 2) bool, left to right and top to bottom.
        angles: (N,) float64 radians, counter-clockwise; 0 for no rotation.
        boxes: (N, 4) int64 top, left, height, width in pixels of the turned tile.
        factors: (N, 4) float64 of brightness, contrast, saturation; what is added to the hue.
        order: (N, 4) int64 which of the four is changed first, second, …
        side: pixels per side of what is seen of a box.
    """

    flips: Tensor
    angles: Tensor
    boxes: Tensor
    factors: Tensor
    order: Tensor
    side: int

    def __len__(self) -> int:
        return len(self.angles)

    def part(self, rows: slice) -> "Drawn":
        """The views of some of the tiles."""
        return Drawn(
            self.flips[rows], self.angles[rows], self.boxes[rows], self.factors[rows],
            self.order[rows], self.side,
        )  # fmt: skip

    def geometry(self, row: int) -> tuple[tuple[int, int, int, int], tuple[bool, bool], float]:
        """Box, flips and angle of one view, as plain numbers."""
        top, left, height, width = self.boxes[row].tolist()
        across, down = self.flips[row].tolist()
        return (top, left, height, width), (across, down), float(self.angles[row])


def draw_views(views: Views, count: int, side: int, step: tuple[int, int, int]) -> Drawn | None:
    """One random view per tile, the same on every device; None where training sees whole tiles.

    Args:
        views: what may be drawn.
        count: tiles N.
        side: pixels of a tile along each axis; of native at least `views.crop`.
        step: seed, epoch and number of the step, from which the numbers follow.
    """
    if views.augment == "none":
        return None
    generator = torch.Generator().manual_seed(hash(step) % 2**63)
    numbers = (count, FIXED + 4 * TRIES)
    drawn = torch.rand(numbers, generator=generator, dtype=torch.float64)
    flips = drawn[:, :2] < views.p_flip
    flips[:, 1] &= views.augment == "native"
    turned = drawn[:, 2] < views.p_rotate
    limits = torch.tensor(views.jitter, dtype=torch.float64)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    return Drawn(
        flips,
        _spread(drawn[:, 3]) * math.radians(views.rotation) * turned,
        _draw_boxes(views, drawn, side),
        neutral + _spread(drawn[:, 6:10]) * limits,
        drawn[:, 10:14].argsort(1),
        views.crop,
    )


def _spread(drawn: Tensor) -> Tensor:
    """0 … 1 to -1 … 1."""
    return 2 * drawn - 1


def _draw_boxes(views: Views, drawn: Tensor, side: int) -> Tensor:
    """(N, 4) boxes inside tiles of this side."""
    if views.augment == "resized":
        return _draw_shapes(views, drawn[:, FIXED:].view(-1, TRIES, 4), side)
    size = torch.full((len(drawn), 2), views.crop)
    return torch.cat([_place(drawn[:, 4:6], size, side), size], 1)


def _place(drawn: Tensor, size: Tensor, side: int) -> Tensor:
    """0 … 1 to the first row and column of a box, each as likely as another."""
    return (drawn * (side + 1 - size)).floor().long()


def _draw_shapes(views: Views, drawn: Tensor, side: int) -> Tensor:
    """The first of several (N, TRIES, 4) boxes that fits; the whole tile where none does.

    Areas are uniform and ratios uniform in their logarithm, as those of torchvision.
    """
    low, high = (math.log(each) for each in views.ratio)
    area = side**2 * (views.scale[0] + drawn[..., 0] * (views.scale[1] - views.scale[0]))
    ratio = torch.exp(low + drawn[..., 1] * (high - low))
    size = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], 2).round().long()
    fits = ((size > 0) & (size <= side)).all(2)
    first = fits.long().argmax(1)
    rows = torch.arange(len(drawn))
    chosen = torch.where(fits.any(1)[:, None], size[rows, first], side)
    return torch.cat([_place(drawn[rows, first, 2:], chosen, side), chosen], 1)
