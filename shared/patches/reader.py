"""Reading patch files: open, check, decode; every error names the file and the rows."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import attributes, hdf5
from shared.patches.layers import Stored
from shared.patches.rows import Rows, list_rows
from shared.progress import say

__all__ = ["Rows", "Source", "list_rows", "open_hdf5", "read"]


def open_hdf5(path: Path) -> hdf5.File:
    """Open for reading; StageError when it is missing, in use, cut short or not HDF5."""
    return hdf5.File(path)


class Source:
    """An open patch file: ``source["sen2"]`` is a Rows; usable as a context manager.

    Attributes:
        path: the file.
        total: number of rows N.
    """

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self.path, self.file = path, open_hdf5(path)
        try:
            self.rows = {name: self._rows(name) for name in names}
            sizes = {name: len(rows) for name, rows in self.rows.items()}
            if len(set(sizes.values())) > 1:
                raise StageError(f"{path}: expected the same number of rows, found {sizes}")
            self.total = next(iter(sizes.values()), 0)
            self._check_complete()
        except StageError:
            self.file.close()
            raise

    def _check_complete(self) -> None:
        row = self.row_numbers()
        if row is not None and (left := int(np.count_nonzero(row < 0))):
            raise StageError(f"{self.path}: unfinished: {left} of {len(row)} rows are not written")

    def row_numbers(self) -> NDArray[np.int64] | None:
        """(N,) rows of the file that this one was made from; None when no stage wrote it.

        Other people's files may have a dataset `row` of their own, which says nothing of this.
        """
        if "complete_header" not in self.file.attrs or "row" not in self.file:
            return None
        stored = self.file["row"]
        if stored.ndim != 1 or stored.dtype.kind != "i":
            raise StageError(f"{stored.where}: expected (N,) whole numbers, found {stored.dtype}")
        return stored[()].astype(np.int64)

    def _rows(self, name: str) -> Rows:
        dataset, preset = self.file[name], lcz.PRESETS.get(name)
        stored = Stored(dataset, self._width(name, dataset))
        layout = attributes.read_layout(dataset, preset, stored.shape) if preset else None
        if not stored.shape or not stored.shape[0]:
            raise StageError(f"{dataset.where}: no rows")
        if (layout or name == "label") and stored.dtype.kind not in "fiub":
            raise StageError(f"{dataset.where}: expected numbers, found {stored.dtype}")
        if len(dataset.unwritten):
            unwritten = f"{dataset.where}: never written: {list_rows(dataset.unwritten)}"
            if not layout:
                raise StageError(unwritten)
            _say_once(f"{unwritten}; HDF5 reads them as one value")
        return Rows(self.path, stored, layout)

    def _width(self, name: str, dataset: hdf5.Dataset) -> int | None:
        """Expected values on the last axis, by which an array of MATLAB's is told."""
        if name == "label":
            return np.size(self.file.attrs.get("classes", lcz.CLASSES))
        preset = lcz.PRESETS.get(name)
        return np.size(dataset.attrs.get("bands", preset.bands)) if preset else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names of the file; So2Sat's 17 when a file of 17 columns has none."""
        if "classes" in self.file.attrs:
            return attributes.read_texts(self.file, "classes")
        shape = self["label"].shape
        if shape[1:] == (len(lcz.CLASSES),):
            return lcz.CLASSES
        if len(shape) != 2 or shape[1] < 2:
            raise self._label_form("(N, K) one-hot")
        raise StageError(
            f"{self.path}: expected an attribute 'classes' for {shape[1]} label columns, found none"
        )

    def _label_form(self, expected: str) -> StageError:
        """The refusal of labels of another shape, with what helps class numbers."""
        shape, hint = self["label"].shape, ""
        if shape[1:] in {(), (1,)}:
            flags = "`prepare --labels index0` (they begin with 0) or `--labels index1` (with 1)"
            hint = f"; class numbers become one-hot with {flags}"
        return StageError(f"{self.path}: label: expected {expected}, found {shape}{hint}")

    def __getitem__(self, name: str) -> Rows:
        if name not in self.rows:
            rows = self._rows(name)
            if self.total and len(rows) != self.total:
                sizes = {**dict.fromkeys(self.rows, self.total), name: len(rows)}
                raise StageError(f"{self.path}: expected the same number of rows, found {sizes}")
            self.rows[name] = rows
        return self.rows[name]

    def __contains__(self, name: str) -> bool:
        return name in self.file

    def labels(self, rows: slice = slice(None)) -> NDArray[np.intp]:
        """(rows,) zero-based class numbers; StageError names rows that are not one-hot."""
        classes = self.classes
        if self["label"].shape[1:] != (len(classes),):
            named = " of attribute 'classes'" if "classes" in self.file.attrs else ""
            raise self._label_form(f"(N, {len(classes)}), a column for each class{named}")
        onehot = self["label"].raw(rows)
        good = (onehot.max(1) == 1) & (np.count_nonzero(onehot, axis=1) == 1)
        if not good.all():
            bad = np.flatnonzero(~good) + (rows.start or 0)
            shares = np.isclose(onehot.sum(1), 1, atol=1e-3) & (onehot >= 0).all(1)
            hint = "; `prepare --labels largest` takes the largest share" if shares.all() else ""
            raise StageError(f"{self.path}: label: not one-hot in {list_rows(bad)}{hint}")
        return onehot.argmax(1)

    def expect_classes(self, classes: tuple[str, ...]) -> None:
        """StageError unless the file has exactly these classes, in this order."""
        if self.classes != classes:
            raise StageError(
                f"{self.path}: expected {_shorten(classes)}, found {_shorten(self.classes)}"
            )

    def statistics(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(C,) mean and (C,) standard deviation on the scale 0 … 255, as `prepare` stored."""
        stored = self[name].stored
        if not {"mean", "std"} <= stored.attrs.keys():
            expected = "expected attributes mean and std, found none"
            raise StageError(f"{stored.where}: {expected}; run prepare on the file first")
        mean, std = (
            attributes.read_numbers(stored, key, self[name].shape[-1]) for key in ("mean", "std")
        )
        if (std < 0).any():
            raise StageError(
                f"{stored.where}: attribute 'std': expected 0 or more, found {std.min():g}"
            )
        return mean, std

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@functools.cache
def _say_once(line: str) -> None:
    """A file is opened several times in a run."""
    say(line)


def _shorten(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes {', '.join(classes[:3])} …"


def read(path: Path, *names: str) -> Source:
    """Open a patch file and check that it has these datasets, all with the same number of rows.

    Args:
        path: HDF5 file, So2Sat's own or one of ours.
        names: datasets that must exist, such as "sen2", "label".

    Raises:
        StageError: missing, truncated, wrong dataset names, channel counts or row counts.
    """
    return Source(path, names)
