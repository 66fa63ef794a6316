"""Reading pair files: checks, the rows of a split, statistics of the training rows."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.errors import StageError
from shared.sisr.form import IMAGES, LEFT_OUT, SPLITS, Bands, Form, fields

NEEDED = ("low", "high", "split", "site", "date", "correlation")


class Pairs:
    """An open pair file; a context manager.

    Attributes:
        path: the file.
        source: its rows: ``pairs.source["low"].raw(slice(0, 8))`` is (8, h, w, C) int16.
        form: its images, bands and sizes.
        sites: names of the places; `site` holds their numbers.
        split: (N,) number of each row's split in `SPLITS`, or `LEFT_OUT`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.source = path, patches.read(path, *NEEDED)
        try:
            self.sites = patches.read_name_table(self.source, "sites")
            self.form = self._read_form()
            self.split = self._read_split()
        except StageError:
            self.source.file.close()
            raise

    def _read_form(self) -> Form:
        shape = self.source["low"].shape
        there = [name for name in IMAGES if name in self.source]
        form = Form(
            shape[1] if len(shape) == 4 else 0,
            {name: self._read_bands(name) for name in there},
            "flow" in self.source,
        )
        for name, field in fields(form).items():
            found = self.source[name]
            if found.shape[1:] != field.shape or found.dtype != np.dtype(field.dtype):
                expected = f"expected {field.dtype} {field.shape} a row"
                told = f"{found.dtype} {found.shape[1:]}"
                raise StageError(f"{self.path}: {name}: {expected}, found {told}")
        return form

    def _read_bands(self, image: str) -> Bands:
        stored = self.source.file[f"{image}_bands"]
        metres = np.unique(stored[()])
        if len(metres) != 1 or not metres[0] > 0:
            raise StageError(f"{stored.where}: expected one resolution in metres, found {metres}")
        return Bands(patches.attributes.read_texts(stored, "names"), float(metres[0]))

    def _read_split(self) -> NDArray[np.uint8]:
        split: NDArray[np.uint8] = self.source["split"].raw(slice(None))
        if (split > LEFT_OUT).any():
            expected = f"expected 0 to {LEFT_OUT}, found {split.max()}"
            raise StageError(f"{self.path}: split: {expected}")
        return split

    def rows(self, split: str) -> NDArray[np.intp]:
        """Rows of "training", "validation" or "testing", in order."""
        return np.flatnonzero(self.split == SPLITS.index(split))

    def choose(self, split: str, count: int, correlation: float = 0.0) -> NDArray[np.intp]:
        """At most so many rows of a split, evenly spread.

        Args:
            split: "training", "validation" or "testing".
            count: how many, 1 or more.
            correlation: rows with less are left out.

        Raises:
            StageError: there are none.
        """
        rows = self.rows(split)
        if not len(rows):
            raise StageError(
                f"{self.path}: expected {split} rows, found none; --split names others"
            )
        found = self.source["correlation"].raw(slice(None))[rows]
        rows = rows[found >= correlation]
        if not len(rows):
            expected = f"expected {split} rows with a correlation of at least {correlation:g}"
            raise StageError(f"{self.path}: {expected}, found none; the highest is {found.max():g}")
        return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]

    def statistics(self, image: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(C,) mean and (C,) deviation of reflectance over the training rows of an image.

        Raises:
            StageError: there is no training row.
        """
        rows = self.rows("training")
        if not len(rows):
            raise StageError(f"{self.path}: expected training rows, found none")
        side, _, _ = self.form.shape(image)
        moments = self.source[f"{image}_moments"].raw(slice(None))[rows]
        first, second = moments.mean(0) / side**2
        return first, np.sqrt(np.maximum(second - first**2, 0))

    def describe(self) -> dict[str, Any]:
        """Per split its rows, the number of its sites and the median correlation of its rows."""
        site, correlation = (self.source[name].raw(slice(None)) for name in ("site", "correlation"))
        told = {}
        for name in SPLITS:
            rows = self.rows(name)
            if len(rows):
                told[name] = {
                    "rows": len(rows),
                    "sites": len(np.unique(site[rows])),
                    "correlation": round(float(np.median(correlation[rows])), 4),
                }
        return told

    def __enter__(self) -> "Pairs":
        return self

    def __exit__(self, *_: object) -> None:
        self.source.file.close()
