"""Where the tiles of an orthophoto lie along an axis, and how much each one says of each pixel."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 4  # the outer 1/4 of what two tiles share is taken from the other tile alone


@dataclass(frozen=True)
class Span:
    """A tile along one axis.

    Attributes:
        start: its first pixel.
        weights: (pixels,) share of the tile in what is said of each of its pixels, 0 to 1. All
            tiles together have 1 at every pixel.
    """

    start: int
    weights: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """First pixel behind it."""
        return self.start + len(self.weights)


def lay(length: int, tile: int, overlap: int) -> list[Span]:
    """Tiles at equal steps from the first pixel; the last one ends with the image.

    It is not moved back into the image: a network with strides sees all tiles, and the image as a
    whole, in step.

    Args:
        length: pixels of the image along the axis.
        tile: pixels of a tile.
        overlap: pixels that two neighbours share, at most half a tile.
    """
    step = tile - overlap
    count = max(0, -(-(length - tile) // step)) + 1
    starts = [number * step for number in range(count)]
    spans = [Span(at, np.ones(min(tile, length - at), np.float32)) for at in starts]
    if overlap:
        fading = fade(overlap)
        for before, after in itertools.pairwise(spans):
            before.weights[-overlap:] = 1 - fading
            after.weights[:overlap] = fading
    return spans


def fade(overlap: int) -> NDArray[np.float32]:
    """(overlap,) rising from 0 to 1 as half a period of a cosine.

    Its ends are flat: where a tile ends, its network sees a border that is none.
    """
    margin = overlap // MARGIN
    ramp = overlap - 2 * margin
    rising = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    return np.concatenate([np.zeros(margin), rising, np.ones(margin)]).astype(np.float32)
