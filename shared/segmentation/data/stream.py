"""Tiles of a file in the order of an epoch, read in a thread while the network is busy."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import patches, tiles
from shared.errors import StageError
from shared.segmentation.data.drawing import Drawn, draw_views
from shared.segmentation.groups import Views
from shared.training.data import order as orders

GB = 1e9
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Pass:
    """One epoch, as one of several processes sees it.

    Attributes:
        seed: of the order of the tiles and of their views.
        epoch: counted from 0.
        batch: tiles a step, of all processes together.
        rank: of this process.
        processes: that share each batch.
    """

    seed: int
    epoch: int
    batch: int
    rank: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Tiles:
    """Some tiles of a file, on one device.

    Attributes:
        rows: (N,) their numbers in the file.
        image: (N, S, S, 3) uint8.
        mask: (N, S, S) uint8, with `tiles.IGNORE` where a pixel counts nowhere.
        drawn: random views of them; None for plain views.
        together: tiles of the whole batch, of all processes.
    """

    rows: Rows
    image: Tensor
    mask: Tensor
    drawn: Drawn | None = None
    together: int = 0


class TileStream:
    """A tile file, in memory where it is small, else read batch by batch.

    A tile is large enough to be read alone, so that any order is as quick as another: the order
    depends neither on the memory nor on where the tiles lie.

    Args:
        path: tile file.
        resident: GB of tiles that may lie in memory.

    Attributes:
        classes: the K names.
        side: pixels of a tile along each axis.

    Raises:
        StageError: the file has no square tiles of 8-bit colours with a mask of the same size.
    """

    def __init__(self, path: Path, resident: float = 32.0) -> None:
        self.path, self._source = path, patches.read(path, "image", "mask")
        image, mask = self._source["image"], self._source["mask"]
        self.classes, self.side = self._source.classes, int(mask.shape[-1])
        expected = (len(mask), self.side, self.side)
        if image.shape != (*expected, 3) or mask.shape != expected:
            raise StageError(
                f"{path}: expected image (N, S, S, 3) and mask (N, S, S), found "
                f"{image.shape} and {mask.shape}; landcover writes such files"
            )
        if (kinds := {str(image.dtype), str(mask.dtype)}) != {"uint8"}:
            raise StageError(f"{path}: image, mask: expected uint8, found {', '.join(kinds)}")
        self._held: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        if len(self) * self.side**2 * 4 <= resident * GB:
            self._refuse_too_much()
            self._held = self._read(np.arange(len(self)))

    def __len__(self) -> int:
        return self._source.total

    def __getitem__(self, rows: Sequence[int] | Rows) -> Tiles:
        """These tiles in this order, on the CPU."""
        wanted = np.asarray(rows, np.intp)
        if self._held is None:
            image, mask = self._read(wanted)
        else:
            image, mask = self._held[0][wanted], self._held[1][wanted]
        return Tiles(wanted, torch.from_numpy(image), torch.from_numpy(mask), None, len(wanted))

    def train(self, plan: Pass, views: Views, device: torch.device) -> Iterator[Tiles]:
        """This process's part of every batch of an epoch, with its views.

        A last batch of a single tile is left out: batch norm has no deviation of one value.

        Args:
            plan: which epoch.
            views: what may be drawn.
            device: where the tiles are wanted.
        """
        order = orders.shuffle_rows(np.arange(len(self)), plan.seed, plan.epoch)
        batches = orders.cut_batches(order, plan.batch, trained=True)
        parts = [orders.rows_of_process(rows, plan.rank, plan.processes) for rows in batches]
        own = [rows[part] for rows, part in zip(batches, parts, strict=True)]
        for step, read in enumerate(self.read(own, device)):
            count = len(batches[step])
            drawn = draw_views(views, count, self.side, (plan.seed, plan.epoch, step))
            yield replace(read, drawn=drawn and drawn.part(parts[step]), together=count)

    def read(self, batches: Sequence[Rows], device: torch.device) -> Iterator[Tiles]:
        """These batches on a device, the next one on its way."""
        if device.type != "cuda":
            yield from orders.prefetch(self[rows] for rows in batches)
            return
        for one in orders.prefetch(_pin(self[rows]) for rows in batches):
            image, mask = (part.to(device, non_blocking=True) for part in (one.image, one.mask))
            yield replace(one, image=image, mask=mask)

    def close(self) -> None:
        """Let the file go."""
        self._source.__exit__()

    def _read(self, rows: Rows) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(n, S, S, 3) and (n, S, S) of these rows, neighbours read together."""
        shape = (len(rows), self.side, self.side)
        image, mask = np.empty((*shape, 3), np.uint8), np.empty(shape, np.uint8)
        for places, run in _runs(rows):
            mask[places] = self._source["mask"].raw(run)
            image[places] = self._source["image"].raw(run)
            self._check(mask[places], run)
        return image, mask

    def _check(self, mask: NDArray[np.uint8], run: slice) -> None:
        """Refuse numbers that are no class and not the ignore value."""
        bad = ((mask >= len(self.classes)) & (mask != tiles.IGNORE)).reshape(len(mask), -1).any(1)
        if bad.any():
            named = patches.list_rows(np.flatnonzero(bad) + run.start)
            raise StageError(
                f"{self.path}: mask: expected class numbers below {len(self.classes)} or "
                f"{tiles.IGNORE} for no class, found others in {named}"
            )

    def _refuse_too_much(self) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        wanted = len(self) * self.side**2 * 4
        if wanted > 0.9 * memory:
            raise StageError(
                f"{self.path}: the tiles take {wanted / GB:.3g} GB in memory and this machine has "
                f"{memory / GB:.3g} GB: a lower --resident reads them in pieces"
            )


def _pin(read: Tiles) -> Tiles:
    return replace(read, image=read.image.pin_memory(), mask=read.mask.pin_memory())


def _runs(rows: Rows) -> Iterator[tuple[Rows, slice]]:
    """Places in `rows` of numbers that follow one another, at most 64 of them, and their slice."""
    order = np.argsort(rows, kind="stable")
    breaks = np.flatnonzero(np.diff(rows[order]) != 1) + 1
    for run in np.split(order, breaks):
        for start in range(0, len(run), 64):
            some = run[start : start + 64]
            yield some, slice(int(rows[some[0]]), int(rows[some[-1]]) + 1)
