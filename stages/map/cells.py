"""Scores of all cells of a scene, row by row: resumable, in shards, with little memory."""

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.errors import StageError
from shared.scenes import Scene
from stages.map import classifiers, matching, windows
from stages.map.orthophotos import Ground
from stages.map.settings import Cells

ROWS = 4  # of cells whose pixels are in memory at once
PIXELS = 2048  # per side, about, that are in memory at once where steps are wide
NAME = "scores"  # dataset, and stem of the file in the product
GRID = "grid"
PICTURES = 8 * 10**6  # bytes, about, of what is drawn


def tile(scene: Ground, cells: Cells) -> windows.Tiling:
    """The windows of a scene.

    Raises:
        StageError: none fits.
    """
    tiling = windows.Tiling(*scene.shape, window=cells.window, step=cells.step)
    if not all(tiling.shape):
        raise StageError(
            f"{scene.path}: expected at least {cells.window} x {cells.window} pixels for one "
            f"window, found {scene.shape[0]} x {scene.shape[1]}"
        )
    return tiling


def describe_grid(scene: Scene, cells: Cells) -> NDArray[np.float64]:
    """(12,) what a file of scores says of its scene: sizes, transform, checksum of its names.

    The names are those of product, date, level and bands: scenes of one tile differ by them.
    """
    header = scene.header
    names = "\n".join((header.product, header.date, header.level, *header.bands))
    sizes = (*scene.shape, cells.window, cells.step, cells.max_masked)
    return np.array([*sizes, *scene.grid.transform, zlib.crc32(names.encode())], np.float64)


def check_room(folder: Path, values: int) -> None:
    """Refuse a volume without room for scores and pictures before anything is written.

    Args:
        folder: on the volume.
        values: scores of all cells.

    Raises:
        StageError: says how much is needed and how much is free.
    """
    need, free = 4 * values + PICTURES, shutil.disk_usage(folder).free
    if need > free:
        raise StageError(
            f"{folder}: no space left: a map needs {need / 1e6:.3g} MB, "
            f"{free / 1e6:.3g} MB are free"
        )


def compute(
    dst: Path,
    scene: Scene,
    ensemble: classifiers.Ensemble,
    cells: Cells,
    *,
    found: matching.Statistics | None,
    trained: list[matching.Statistics],
    shard: str,
) -> None:
    """Write `scores` (rows, columns, K) of one shard of the rows of cells; goes on where it was.

    Args:
        dst: HDF5 file.
        scene: what is classified.
        ensemble: by what.
        cells: windows and grid.
        found: statistics of the scene, which are brought to those of the training split; None
            leaves the scene as it is.
        trained: those of each network's training split, whose mean pixels have that are not seen.
        shard: "i/n".
    """
    tiling = tile(scene, cells)
    rows, columns = tiling.shape
    field = patches.Field((columns, len(ensemble.classes)), "float32")
    grid = patches.Constant(describe_grid(scene, cells))
    check_room(dst.parent, rows * columns * len(ensemble.classes))
    places = [member.bands for member in ensemble.members]
    reader = Reader(scene, cells, found, list(zip(places, trained, strict=True)))
    with patches.Writer(
        dst, rows, shard, classes=ensemble.classes, constants={GRID: grid}, scores=field
    ) as sink:
        for block in sink.todo(max(1, min(ROWS, PIXELS // cells.step)), what="cells"):
            parts = []
            most = max(1, min(classifiers.COLUMNS, PIXELS // cells.step))
            for first in range(0, columns, most):
                count = min(most, columns - first)
                values, seen = reader.read(block, slice(first, first + count))
                cuts = [
                    member.cut(one, cells.window, cells.step)
                    for member, one in zip(ensemble.members, values, strict=True)
                ]
                parts.append(ensemble.score(cuts, seen))
            sink.put(block, scores=np.concatenate(parts, 1))


@dataclass(frozen=True)
class Reader:
    """Pixels of a scene as networks want them.

    Attributes:
        scene: open file.
        cells: windows and grid.
        found: statistics to match, or None.
        wanted: places of the bands of each member in the scene, and its training split.
    """

    scene: Scene
    cells: Cells
    found: matching.Statistics | None
    wanted: list[tuple[list[int], matching.Statistics]]

    def read(
        self, rows: slice, columns: slice
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.bool_]]:
        """(H, W, C) values 0 … 255 for each member, and (R, S) which windows are seen well enough.

        Pixels that are not seen have the mean of the training split.
        """
        step, window = self.cells.step, self.cells.window
        tiling = windows.Tiling(*self.scene.shape, window=window, step=step)
        top, height = tiling.pixels(rows.start, rows.stop - rows.start)
        left, width = tiling.pixels(columns.start, columns.stop - columns.start)
        place = top, left, height, width
        hidden = ~self.scene.valid(*place)
        reflectance = self.scene.window(*place).clip(lcz.SEN2.low, lcz.SEN2.high)
        scaled = lcz.SEN2.scale(reflectance).astype(np.float32)
        values = [self._prepare(scaled, hidden, *one) for one in self.wanted]
        masked = windows.count(hidden, window, step)
        return values, masked <= self.cells.max_masked * window**2

    def _prepare(
        self,
        scaled: NDArray[np.float32],
        hidden: NDArray[np.bool_],
        bands: list[int],
        trained: matching.Statistics,
    ) -> NDArray[np.float32]:
        values = scaled[..., bands]
        if self.found:
            values = matching.match(values, self.found, trained, bands)
        if hidden.any():
            values[hidden] = 255 * np.array(trained.mean, np.float32)
        return values


def check_scores(source: patches.Source, scene: Scene, cells: Cells) -> None:
    """Refuse a file of scores that was not made of this scene and these windows.

    Raises:
        StageError: another shape or grid, or only a shard.
    """
    tiling = tile(scene, cells)
    expected = (*tiling.shape, len(source.classes))
    if source[NAME].shape != expected or GRID not in source:
        found = source[NAME].shape
        raise StageError(
            f"{source.path}: expected scores {expected} of all cells of {scene.path}, found {found}"
        )
    if not np.array_equal(source.file[GRID][()], describe_grid(scene, cells)):
        raise StageError(
            f"{source.path}: expected scores of {scene.path} (product, date, place) with these "
            "--step, --window and --max_masked, found others"
        )
