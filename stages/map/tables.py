"""What a map says in numbers: area per class, agreement with the truth where there is one."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.map import windows
from stages.map.orthophotos import Ground
from stages.map.rendering import Block
from stages.map.settings import Cells

TRUTH = 2**22  # pixels of the truth that are counted at once, about
Counts = NDArray[np.int64]


@dataclass
class Tally:
    """Counts of cells, summed up block by block.

    Attributes:
        classes: K names.
        cells: (K + 1,) cells of each final class; the first are those without data.
        raw: (K, K) rows true class, columns class before the filter; without a truth all 0.
        final: the same after the filter.
    """

    classes: tuple[str, ...]
    cells: Counts = field(init=False)
    raw: Counts = field(init=False)
    final: Counts = field(init=False)

    def __post_init__(self) -> None:
        number = len(self.classes)
        self.cells = np.zeros(number + 1, np.int64)
        self.raw, self.final = np.zeros((2, number, number), np.int64)

    def add(self, block: Block, truth: NDArray[np.uint8] | None) -> None:
        """Count a block, and its agreement with the (R, S) true classes if they are known."""
        number = len(self.classes)
        self.cells += np.bincount(block.final.ravel(), minlength=number + 1)
        if truth is None:
            return
        for matrix, said in ((self.raw, block.raw), (self.final, block.final)):
            known = (truth > 0) & (truth <= number) & (said > 0)
            pairs = (truth[known].astype(np.int64) - 1) * number + said[known] - 1
            matrix += np.bincount(pairs, minlength=number**2).reshape(number, number)

    def agreement(self) -> dict[str, Any]:
        """Share of the cells with a truth that have its class, before and after the filter."""
        total = int(self.raw.sum())
        if not total:
            return {}
        return {
            "cells_with_truth": total,
            "agreement_raw": float(np.trace(self.raw) / total),
            "agreement": float(np.trace(self.final) / total),
            "recall": {
                name: float(self.final[k, k] / self.final[k].sum())
                for k, name in enumerate(self.classes)
                if self.final[k].any()
            },
        }


def read_truth(scene: Ground, cells: Cells, rows: slice) -> NDArray[np.uint8] | None:
    """(R, S) most frequent true class around the centre of each window, as wide as a cell.

    The first of equally frequent ones; 0 where none is known. None without a truth.
    """
    if not scene.has_truth:
        return None
    each = max(1, TRUTH // (cells.step * scene.shape[1]))
    firsts = range(rows.start, rows.stop, each)
    parts = [_read_truth(scene, cells, slice(at, min(at + each, rows.stop))) for at in firsts]
    return np.concatenate(parts)


def _read_truth(scene: Ground, cells: Cells, rows: slice) -> NDArray[np.uint8]:
    tiling = windows.Tiling(*scene.shape, window=cells.window, step=cells.step)
    span = min(cells.step, cells.window)
    inset = (cells.window - span) // 2
    top, height = tiling.pixels(rows.start, rows.stop - rows.start)
    left, width = tiling.pixels(0, tiling.shape[1])
    place = top + inset, left + inset, height - 2 * inset, width - 2 * inset
    pixels = scene.truth(*place)
    best = np.zeros((rows.stop - rows.start, tiling.shape[1]), np.int64)
    found = np.zeros(best.shape, np.uint8)
    for label in np.unique(pixels[pixels > 0]).tolist():
        seen = windows.count(pixels == label, span, cells.step)[: best.shape[0], : best.shape[1]]
        found[seen > best] = label
        best = np.maximum(best, seen)
    return found


def write_area(
    path: Path, tally: Tally, colours: tuple[str, ...], square_kilometres: float | None
) -> None:
    """A line per class: number, name, colour, cells, share of the classified ones, km².

    Args:
        path: CSV file.
        tally: of the whole map.
        colours: one a class.
        square_kilometres: of a cell; None where the grid is not in metres.
    """
    total = max(1, int(tally.cells[1:].sum()))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["class", "name", "colour", "cells", "share", "km2"])
        for number, name in enumerate(tally.classes, 1):
            count = int(tally.cells[number])
            area = "" if square_kilometres is None else f"{count * square_kilometres:.6g}"
            table.writerow([number, name, colours[number - 1], count, f"{count / total:.6f}", area])
