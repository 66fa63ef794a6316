"""Small versions of a scene and a map for pictures, gathered block by block."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from stages.map.orthophotos import Ground, Orthophoto
from stages.map.rendering import Block

PICTURE = 1024  # pixels of the longer side of a true-colour picture, at most
PAGE = 400  # cells of the longer side of what a page can be asked about, at most
PERCENT = (1, 99)  # of each band that are shown black and white


@dataclass
class Thinned:
    """Every n-th cell of a map, so that the longer side has at most `most`.

    Attributes:
        shape: rows and columns of the map.
        most: cells of the longer side.
        number: K.
    """

    shape: tuple[int, int]
    most: int
    number: int
    classes: NDArray[np.uint8] = field(init=False)
    percents: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        size = tuple(len(self.places(length)) for length in self.shape)
        self.classes = np.zeros(size, np.uint8)
        self.percents = np.zeros((*size, self.number), np.uint8)

    @property
    def every(self) -> int:
        """Cells from one kept cell to the next."""
        return -(-max(self.shape) // self.most)

    def places(self, length: int) -> range:
        """The cells that are kept along an axis: the middle ones of equal runs."""
        return range(min(self.every // 2, (length - 1) // 2), length, self.every)

    @property
    def starts(self) -> tuple[int, int]:
        """First row and column that are kept."""
        return self.places(self.shape[0]).start, self.places(self.shape[1]).start

    def add(self, block: Block) -> None:
        """Keep those cells of a block that are to be kept."""
        columns = list(self.places(self.shape[1]))
        for at, row in enumerate(self.places(self.shape[0])):
            if block.rows.start <= row < block.rows.stop:
                here = row - block.rows.start
                self.classes[at] = block.final[here, columns]
                self.percents[at] = np.rint(100 * block.scores[here, columns]).astype(np.uint8)


def true_colour(scene: Ground, most: int = PICTURE) -> NDArray[np.uint8]:
    """(h, w, 3) picture as the eye would see it: means of blocks, each band of a scene stretched.

    What has no data is grey. The bands are red, green and blue, or the first ones where there are
    none of these.
    """
    if isinstance(scene, Orthophoto):
        return scene.picture(most)
    names = lcz.TRUE_COLOUR if set(lcz.TRUE_COLOUR) <= set(scene.bands) else scene.bands[:1] * 3
    bands = list(lcz.indices(scene.bands, names))
    height, width = scene.shape
    every = -(-max(height, width) // most)
    rows, columns = max(1, height // every), max(1, width // every)
    every = min(every, height, width)
    shown = np.zeros((rows, columns, 3), np.float32)
    for row in range(rows):
        pixels = scene.window(row * every, 0, every, columns * every)[..., bands]
        shown[row] = pixels.reshape(every, columns, every, 3).mean((0, 2))
    return stretch(shown)


def stretch(shown: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(h, w, 3) reflectance to 0 … 255, from the lowest to the highest percent of each band."""
    there = shown.min(-1) > 0
    if not there.any():
        return np.full(shown.shape, 128, np.uint8)
    low, high = np.percentile(shown[there], PERCENT, axis=0)
    scaled = (shown - low) / np.maximum(high - low, 1e-4)
    levels = np.rint(255 * scaled.clip(0, 1) ** 0.8).astype(np.uint8)
    levels[~there] = 128
    return levels
