"""Rows as training reads them, corrected once and kept in a file without a name.

The registration network does not learn, so its corrections are the same in every epoch.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import progress, sisr
from shared.scratch import Scratch
from stages.sisr_train import bands, corrections
from stages.sisr_train.bands import Image, Layout, Row

Batch = dict[str, Tensor]
TYPE = np.dtype(np.int16)  # reflectance * 10,000, as in the pair file


class Prepared:
    """Images of some rows: `input` (C, h, w), `target` (C', f·h, f·w), and maybe others.

    Args:
        count: rows.
        shapes: of the images of a row, channels first.
    """

    def __init__(self, count: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._count, self._shapes = count, dict(shapes)
        sizes = {name: int(np.prod(shape)) * TYPE.itemsize for name, shape in shapes.items()}
        starts = np.cumsum([0, *sizes.values()]).tolist()
        self._places = dict(zip(sizes, starts, strict=False))
        self._row = starts[-1]
        self._file = Scratch()
        self._file.require(self._row * count, "corrected images")

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> tuple[str, ...]:
        """The images that a row has."""
        return tuple(self._shapes)

    def put(self, row: int, images: Mapping[str, Image]) -> None:
        """Keep the images (H, W, C) of a row, rounded to a ten-thousandth."""
        ends = np.iinfo(TYPE)
        for name, image in images.items():
            levels = (image * sisr.PER_UNIT).round().clip(ends.min, ends.max).astype(TYPE)
            stored = np.ascontiguousarray(levels.transpose(2, 0, 1))
            self._file.write(stored.data.cast("B"), self._place(row, name))

    def get(self, rows: NDArray[np.intp], names: Sequence[str] = ()) -> Batch:
        """(N, C, H, W) float32 reflectance of these rows, of these images or of all."""
        made = {}
        for name in names or self.names:
            stored = np.empty((len(rows), *self._shapes[name]), TYPE)
            for into, row in zip(stored, rows, strict=True):
                self._file.read(into.data.cast("B"), self._place(int(row), name))
            made[name] = torch.from_numpy(stored).float() / sisr.PER_UNIT
        return made

    def _place(self, row: int, name: str) -> int:
        return row * self._row + self._places[name]


def prepare(
    pairs: sisr.Pairs, rows: NDArray[np.intp], make: Callable[[Row], dict[str, Image]], what: str
) -> Prepared:
    """Correct rows of a pair file.

    Args:
        pairs: open.
        rows: their numbers.
        make: the images of a row.
        what: one or two words, for the progress bar.
    """
    made: Prepared | None = None
    with progress.bar(len(rows), what) as bar:
        for number, row in enumerate(bands.read_rows(pairs, rows)):
            images = make(row)
            if made is None:
                shapes = {n: (i.shape[2], i.shape[0], i.shape[1]) for n, i in images.items()}
                made = Prepared(len(rows), shapes)
            made.put(number, images)
            bar.update(1)
    assert made is not None  # `Pairs.choose` gives one row or more
    return made


def make_images(
    row: Row, layout: Layout, *, mode: str, flows: corrections.Flows | None, wald: bool, told: bool
) -> dict[str, Image]:
    """The images of a row by name.

    Args:
        row: as it is stored.
        layout: its bands.
        mode: which correction the target gets.
        flows: who says where things are.
        wald: whether to add `coarser`, the input of pixels larger by the factor.
        told: whether to add `truth`, where the file has it.
    """
    images = {"input": bands.join(row), "target": corrections.correct(row, layout, mode, flows)}
    if wald:
        images["coarser"] = bands.degrade(row, layout)
    if told and row.truth is not None:
        images["truth"] = row.truth
    return images
