"""Reading patch files: open, check, decode; every error names the file and the rows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import hdf5
from shared.patches.rows import Rows, list_rows

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
        if "row" not in self.file:
            return
        row = self.file["row"]
        if left := int(np.count_nonzero(row[()] < 0)):
            raise StageError(f"{self.path}: unfinished: {left} of {len(row)} rows are not written")

    def _rows(self, name: str) -> Rows:
        stored = self.file[name]
        layout = self._layout(name, stored) if name in lcz.PRESETS else None
        if not stored.shape or not stored.shape[0]:
            raise StageError(f"{self.path}: {name}: no rows")
        if (layout or name == "label") and stored.dtype.kind not in "fiub":
            raise StageError(f"{self.path}: {name}: expected numbers, found {stored.dtype}")
        return Rows(self.path, stored, layout)

    def _layout(self, name: str, stored: hdf5.Dataset) -> lcz.Layout:
        preset, attrs = lcz.PRESETS[name], stored.attrs
        bands = tuple(str(band) for band in attrs.get("bands", preset.bands))
        if stored.ndim != 4 or stored.shape[3] != len(bands):
            expected = f"(N, H, W, {len(bands)})"
            raise StageError(f"{self.path}: {name}: expected {expected}, found {stored.shape}")
        return lcz.Layout(
            bands,
            float(attrs.get("low", preset.low)),
            float(attrs.get("high", preset.high)),
            float(attrs.get("per_unit", 1.0)),
            bool(attrs.get("clip", preset.clip)),
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names of the file; So2Sat's 17 when a file of 17 columns has none."""
        if "classes" in self.file.attrs:
            return tuple(str(name) for name in self.file.attrs["classes"])
        columns = self["label"].shape[-1]
        if columns == len(lcz.CLASSES):
            return lcz.CLASSES
        raise StageError(
            f"{self.path}: expected an attribute 'classes' for {columns} label columns, found none"
        )

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
        onehot = self["label"].raw(rows)
        if onehot.ndim != 2 or onehot.shape[1] != len(self.classes):
            expected = f"(N, {len(self.classes)})"
            raise StageError(f"{self.path}: label: expected {expected}, found {onehot.shape}")
        good = (onehot.max(1) == 1) & (np.count_nonzero(onehot, axis=1) == 1)
        if not good.all():
            bad = np.flatnonzero(~good) + (rows.start or 0)
            raise StageError(f"{self.path}: label: not one-hot in {list_rows(bad)}")
        return onehot.argmax(1)

    def expect_classes(self, classes: tuple[str, ...]) -> None:
        """StageError unless the file has exactly these classes, in this order."""
        if self.classes != classes:
            raise StageError(
                f"{self.path}: expected {_shorten(classes)}, found {_shorten(self.classes)}"
            )

    def statistics(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(C,) mean and (C,) standard deviation on the scale 0 … 255, as `prepare` stored."""
        mean, std = self[name].attribute("mean"), self[name].attribute("std")
        if mean is None or std is None:
            raise StageError(
                f"{self.path}: {name}: expected attributes mean and std, found none; "
                "run prepare on the file first"
            )
        return np.asarray(mean, np.float64), np.asarray(std, np.float64)

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


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
