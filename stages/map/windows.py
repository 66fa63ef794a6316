"""Windows of a block of pixels without copies, and the grid of cells that they give."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shared.scenes import Grid


@dataclass(frozen=True)
class Tiling:
    """Square windows at equal steps from the first pixel of a scene, all of them inside.

    Attributes:
        height, width: of the scene, in pixels.
        window: pixels per side.
        step: pixels from one window to the next.
    """

    height: int
    width: int
    window: int
    step: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells, 0 where no window fits."""
        rows, columns = (
            max(0, (side - self.window) // self.step + 1) for side in (self.height, self.width)
        )
        return rows, columns

    def pixels(self, first: int, count: int) -> tuple[int, int]:
        """First pixel along an axis of so many windows from the given one, and how many pixels."""
        return first * self.step, (count - 1) * self.step + self.window

    @property
    def margin(self) -> float:
        """Pixels from the edge of the scene to that of its first cell: centres lie together."""
        return (self.window - self.step) / 2

    def grid(self, scene: Grid) -> Grid:
        """The grid of the cells: each one lies around the centre of its window, `step` wide."""
        return scene.moved(self.margin, self.margin).coarser(self.step)


def cut(block: NDArray[Any], window: int, step: int) -> NDArray[Any]:
    """(H, W, C) pixels to (R, S, window, window, C), a view: overlapping windows share memory."""
    views = sliding_window_view(block, (window, window), axis=(0, 1))[::step, ::step]
    return np.moveaxis(views, 2, -1)


def count(marks: NDArray[np.bool_], window: int, step: int) -> NDArray[np.int64]:
    """(R, S) how many pixels of each window of (H, W) are marked, by sums of sums."""
    sums = np.zeros((marks.shape[0] + 1, marks.shape[1] + 1), np.int64)
    sums[1:, 1:] = marks.cumsum(0, dtype=np.int64).cumsum(1)
    high, low = sums[window:], sums[:-window]
    whole = high[:, window:] - high[:, :-window] - low[:, window:] + low[:, :-window]
    return whole[::step, ::step]
