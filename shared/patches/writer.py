"""Writing patch files row by row, so that a killed run continues where it stopped.

All storage is allocated and all metadata written before the first row. After that only raw blocks
change, and `row[i]` changes from -1 to the source row once the block is written. So a file that
opens is never wrong about its content, whenever the process was killed.
"""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from shared import progress
from shared.patches import hdf5, marks, written
from shared.patches import shard as shards
from shared.patches.fields import Constant, Field, allocate, field_like, moments
from shared.patches.reader import Source

COPIED = ("label", "city", marks.NAME)  # of each row, from the file that `like` names


class Writer:
    """Rows of one shard, in order; a context manager.

    Args:
        dst: file to write; rows already in it are kept if it has the same fields and shard.
        total: rows of the whole (all shards).
        shard: "i/n".
        classes: class names, stored in the file.
        like: copy label, city, validation and class names of this file's rows into ours.
        constants: datasets that are valid for all rows, by name; the same in every shard.
        fields: datasets by name.

    Raises:
        StageError: bad shard text, no room on the volume.
    """

    def __init__(
        self,
        dst: Path,
        total: int,
        shard: str = "1/1",
        *,
        classes: Sequence[str] = (),
        like: Source | None = None,
        constants: Mapping[str, Constant] | None = None,
        **fields: Field,
    ) -> None:
        self.dst, self.total, self.span = dst, total, shards.shard_range(total, shard)
        self.like, self.fields, self.constants = like, dict(fields), dict(constants or {})
        self.classes = tuple(classes or (like.classes if like else ()))
        if like:
            marks.read_marks(like)  # refused now, not after hours
            self.fields |= {name: field_like(like, name) for name in COPIED if name in like}
        self.fields |= {
            f"{name}_moments": Field((2, field.shape[-1]), "float64")
            for name, field in fields.items()
            if field.layout
        }
        fault = "has other fields, or was damaged"
        self.file = hdf5.resume(dst, self._is_same, fault) or self._create()

    def _is_same(self, file: h5py.File) -> bool:
        expected = {name: (len(self.span), *field.shape) for name, field in self.fields.items()}
        shapes = {n: data.shape for n, data in file.items() if n not in {"row", *self.constants}}
        span = (self.span.start, self.span.stop, self.total)
        constant = all(
            n in file and np.array_equal(file[n], c.values) for n, c in self.constants.items()
        )
        same = shapes == expected and constant and tuple(file.attrs["span"]) == span
        if not same or not written.is_header_intact(file, self.fields):
            return False
        written.forget_damaged(file, self.fields)
        return True

    def _create(self) -> h5py.File:
        count = len(self.span)
        row_bytes = sum(
            np.dtype(f.dtype).itemsize * int(np.prod(f.shape)) for f in self.fields.values()
        )
        hdf5.check_room(self.dst, count * row_bytes)
        file = h5py.File(self.dst, "w")
        for name, field in self.fields.items():
            allocate(file, name, field, count)
        for name, constant in self.constants.items():
            file[name] = constant.values
            file[name].attrs.update({**constant.attributes, "constant": True})
        file.create_dataset("row", data=np.full(count, -1, np.int64))
        if self.classes:
            file.attrs["classes"] = list(self.classes)
        file.attrs["span"] = (self.span.start, self.span.stop, self.total)
        file.attrs["complete_header"] = True
        file.flush()
        written.note_header(file, self.fields)
        return file

    def note_header(self) -> None:
        """Keep what the file says beside its rows, after a stage added attributes to it."""
        written.note_header(self.file, self.fields)

    def todo(self, batch: int, what: str = "") -> Generator[slice, None, None]:
        """Slices of source rows not written yet, `batch` rows each, with a progress bar."""
        start, stop = self.span.start, self.span.stop
        done = self.file["row"][:] >= 0
        with progress.bar(len(self.span), what or self.dst.stem, done=int(done.sum())) as bar:
            for first in range(start, stop, batch):
                rows = slice(first, min(first + batch, stop))
                if not done[rows.start - start : rows.stop - start].all():
                    yield rows
                    bar.update(rows.stop - rows.start)

    def put(
        self,
        rows: slice,
        *,
        source_rows: NDArray[np.integer] | None = None,
        **values: NDArray[np.generic],
    ) -> None:
        """Store physical values of these source rows; they are on disk when this returns.

        Args:
            rows: a slice from `todo`.
            source_rows: (rows,) numbers to store in `row` instead of those of the slice.
            values: (rows, …) per field, physical units; label one-hot.

        Raises:
            ValueError: a shape does not fit, or a value is not finite: a bug in the stage.
        """
        here = slice(rows.start - self.span.start, rows.stop - self.span.start)
        if self.like:
            values |= {name: self.like[name].raw(rows) for name in COPIED if name in self.like}
            if (marked := marks.read_marks(self.like, rows)) is not None:
                values[marks.NAME] = marked.astype(np.uint8)
            if "label" in self.like:
                self.like.labels(rows)  # raises where a row is not one-hot
        if missing := {n for n in self.fields if not n.endswith("_moments")} - values.keys():
            raise ValueError(f"no values for {sorted(missing)} in rows {rows}")
        for name, block in values.items():
            field = self.fields[name]
            if block.shape != (rows.stop - rows.start, *field.shape):
                raise ValueError(
                    f"{name}: {block.shape} for rows {rows}, expected {field.shape} each"
                )
            if not np.isfinite(block).all():
                raise ValueError(f"{name}: not finite in rows {rows}")
            if field.layout:
                self.file[f"{name}_moments"][here] = moments(block, field.layout)
                block = field.layout.encode(block, np.dtype(field.dtype))
            self.file[name][here] = block
        self.mark(rows, np.arange(rows.start, rows.stop) if source_rows is None else source_rows)

    def mark(self, rows: slice, numbers: NDArray[np.integer]) -> None:
        """Mark rows as written, once all that is stored of them is on disk.

        Args:
            rows: a slice from `todo`.
            numbers: (rows,) what `row` says.
        """
        here = slice(rows.start - self.span.start, rows.stop - self.span.start)
        self.file.flush()
        written.note_rows(self.file, self.fields, here, numbers)
        self.file["row"][here] = numbers
        self.file.flush()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self.file:
            if kind is None and len(self.span):
                if (self.file["row"][:] < 0).any():
                    raise ValueError(f"{self.dst}: rows left unwritten")
                for name, field in self.fields.items():
                    if field.layout:
                        self._finish(name, int(np.prod(field.shape[:-1])))

    def _finish(self, name: str, pixels: int) -> None:
        sums = self.file[f"{name}_moments"][:]
        if marks.NAME in self.fields and (kept := self.file[marks.NAME][:] == 0).any():
            sums = sums[kept]  # networks know nothing of the validation split
        first, second = sums.mean(0) / pixels
        self.file[name].attrs.modify("mean", first)
        self.file[name].attrs.modify("std", np.sqrt(np.maximum(second - first**2, 0)))
