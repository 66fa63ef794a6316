"""From scores to class rows, block by block, with the rows around that a filter needs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.patches import Source
from stages.map import cells, filters, measures
from stages.map.settings import Drawing

VALUES = 2**19  # scores in memory at once


@dataclass(frozen=True)
class Block:
    """Some rows of cells, finished.

    Attributes:
        rows: which.
        scores: (R, S, K).
        raw: (R, S) classes of the largest score, 0 without data.
        final: (R, S) the same after the filter.
    """

    rows: slice
    scores: NDArray[np.float32]
    raw: NDArray[np.uint8]
    final: NDArray[np.uint8]


def render(source: Source, drawing: Drawing) -> Iterator[Block]:
    """All rows of a file of scores in order, with little memory whatever their number."""
    stored = source[cells.NAME]
    rows, columns, number = stored.shape
    kernel = filters.make_kernel(drawing.applied, drawing.sigma, drawing.radius)
    around, count = len(kernel) // 2, max(1, VALUES // (columns * number))
    for first in range(0, rows, count):
        last = min(rows, first + count)
        above, below = max(0, first - around), min(rows, last + around)
        scores = stored.raw(slice(above, below))
        raw = measures.classify(scores)
        final = filters.smooth(raw, kernel, number)
        own = slice(first - above, last - above)
        yield Block(slice(first, last), scores[own], raw[own], final[own])
