"""Scores of all pixels of an orthophoto from overlapping tiles: resumable, in shards, flat memory.

Rows of tiles are blended along their columns and kept in a file without a name; rows of pixels are
blended of at most two of them. So memory is that of some tiles and of one row of pixels, and a row
of pixels is the same whatever was computed before it.
"""

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.errors import StageError
from shared.scratch import Scratch
from stages.map import tiling
from stages.map.orthophotos import Orthophoto
from stages.map.palette import COLOURS, choose_colours
from stages.map.segmenters import Ensemble, Tile
from stages.map.settings import Tiles

NAME, GRID = "scores", "grid"  # datasets
VALUES = 2**22  # scores that are blended and written at once, about
PICTURES = 8 * 10**6  # bytes, about, of what is drawn
KEPT = 2  # rows of tiles that are kept
ITEM = np.dtype(np.float32).itemsize

Floats = NDArray[np.float32]


def describe_grid(photo: Orthophoto) -> NDArray[np.float64]:
    """(9,) what a file of scores says of its orthophoto: size, transform, checksum of its name."""
    name = zlib.crc32(os.fsencode(photo.path.stem))
    return np.array([*photo.shape, *photo.grid.transform, name], np.float64)


def compute(dst: Path, photo: Orthophoto, ensemble: Ensemble, tiles: Tiles, shard: str) -> None:
    """Write `scores` (rows, columns, K) of one shard of the rows; goes on where it was.

    Args:
        dst: HDF5 file.
        photo: what is classified.
        ensemble: by what.
        tiles: in which it is seen.
        shard: "i/n".

    Raises:
        StageError: tiles that the network does not take; no room on the volume.
    """
    mosaic = Mosaic(photo, ensemble, tiles)
    (rows, columns), classes = photo.shape, ensemble.card.classes
    check_room(dst.parent, rows * columns * len(classes), mosaic.kept)
    colours = ensemble.card.colours or choose_colours(classes)
    constants = {  # in order of names, as merge writes them
        COLOURS: patches.Constant(np.array([[*bytes.fromhex(c[1:])] for c in colours], np.uint8)),
        GRID: patches.Constant(describe_grid(photo)),
    }
    field = patches.Field((columns, len(classes)), "float32")
    with patches.Writer(
        dst, rows, shard, classes=classes, constants=constants, scores=field
    ) as sink:
        for block in sink.todo(max(1, VALUES // (columns * len(classes))), what="rows"):
            sink.put(block, scores=mosaic.rows(block))


def check_room(folder: Path, values: int, kept: int) -> None:
    """Refuse a volume without room before anything is computed.

    Args:
        folder: on the volume.
        values: scores of all pixels.
        kept: bytes of the rows of tiles.

    Raises:
        StageError: says how much is needed and how much is free.
    """
    need, free = ITEM * values + kept + PICTURES, shutil.disk_usage(folder).free
    if need > free:
        raise StageError(
            f"{folder}: no space left: a map needs {need / 1e6:.3g} MB, "
            f"{free / 1e6:.3g} MB are free"
        )


class Mosaic:
    """Blended probabilities of an orthophoto, by rows.

    Args:
        photo: open orthophoto.
        ensemble: networks.
        tiles: in which they see it.

    Raises:
        StageError: tiles that the network does not take.
    """

    def __init__(self, photo: Orthophoto, ensemble: Ensemble, tiles: Tiles) -> None:
        self.photo, self.ensemble = photo, ensemble
        side = tiles.side(ensemble.fixed)
        overlap = tiles.shared(side)
        self.down, self.across = (tiling.lay(length, side, overlap) for length in photo.shape)
        self.row = photo.shape[1] * len(ensemble.card.classes) * ITEM  # bytes
        self.band = len(self.down[0].weights) * self.row
        self.scratch, self.held = Scratch(), [-1] * KEPT

    @property
    def kept(self) -> int:
        """Bytes of the rows of tiles that are kept."""
        return KEPT * self.band

    def rows(self, rows: slice) -> Floats:
        """(rows, W, K) probabilities, all 0 where the orthophoto has no data."""
        count, (_, width) = rows.stop - rows.start, self.photo.shape
        blended = np.zeros((count, width, len(self.ensemble.card.classes)), np.float32)
        for number, span in enumerate(self.down):
            first, last = max(span.start, rows.start), min(span.stop, rows.stop)
            if first >= last:
                continue
            weights = span.weights[first - span.start : last - span.start]
            part = self._read(number, first - span.start, last - span.start)
            part *= weights[:, None, None]
            blended[first - rows.start : last - rows.start] += part
        blended[~self.photo.valid(rows.start, 0, count, width)] = 0
        return blended

    def _read(self, number: int, first: int, last: int) -> Floats:
        """(last - first, W, K) rows of a row of tiles, which is computed where it is not held."""
        place = (number % KEPT) * self.band
        if self.held[number % KEPT] != number:
            self.held[number % KEPT] = -1  # while it is being written it is neither
            self._compute(number, place)
            self.held[number % KEPT] = number
        shape = (last - first, self.photo.shape[1], len(self.ensemble.card.classes))
        part = np.empty(shape, np.float32)
        self.scratch.read(part.data.cast("B"), place + first * self.row)
        return part

    def _compute(self, number: int, place: int) -> None:
        """Run the networks over a row of tiles and keep it, blended along its columns."""
        left: Floats | None = None  # of the tile before: what it shares with this one
        scores = self.ensemble.score(self._cut(number))
        ends = [*(span.start for span in self.across[1:]), self.photo.shape[1]]
        for span, said, end in zip(self.across, scores, ends, strict=True):
            said *= span.weights[:, None]
            if left is not None:
                said[:, : left.shape[1]] += left
            whole, left = said[:, : end - span.start], said[:, end - span.start :].copy()
            self._write(np.ascontiguousarray(whole), place, span.start)

    def _cut(self, number: int) -> Iterator[Tile]:
        top, height = self.down[number].start, len(self.down[number].weights)
        for span in self.across:
            place = top, span.start, height, len(span.weights)
            yield self.photo.window(*place), ~self.photo.valid(*place)

    def _write(self, whole: Floats, place: int, column: int) -> None:
        """Put (h, w, K) at a column of the row of tiles."""
        offset = place + column * len(self.ensemble.card.classes) * ITEM
        for row, values in enumerate(whole):
            self.scratch.write(values.data.cast("B"), offset + row * self.row)


def check_scores(source: patches.Source, photo: Orthophoto) -> None:
    """Refuse a file of scores that is not of this orthophoto, or only a part.

    Raises:
        StageError: another shape, place or name.
    """
    expected = (*photo.shape, len(source.classes))
    if source[NAME].shape != expected or GRID not in source or COLOURS not in source:
        found = source[NAME].shape
        raise StageError(
            f"{source.path}: expected scores {expected} of all pixels of {photo.path}, found "
            f"{found}"
        )
    if not np.array_equal(source.file[GRID][()], describe_grid(photo)):
        raise StageError(
            f"{source.path}: expected scores of {photo.path} (name, place), found others"
        )
