"""Reading scene files: open, check, windows; every error names the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import attributes, hdf5
from shared.scenes.form import BLOCK, HIDING, LEVELS, NO_DATA, Header
from shared.scenes.grid import Grid


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)


def blocks(height: int, width: int, rows: int = BLOCK) -> Iterator[Window]:
    """Windows of `rows` whole rows that cover (height, width); the last one may be lower."""
    for top in range(0, height, rows):
        yield Window(top, 0, min(rows, height - top), width)


class Scene:
    """An open scene file; a context manager.

    Attributes:
        path: the file.
        header: bands, grid, level and the rest of what it says.
        shape: rows and columns.
        has_truth: whether it knows the class of each pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, hdf5.File(path)
        try:
            self._pixels = self.file["reflectance"]
            self.header, self._per_unit = self._read_header()
            self.shape: tuple[int, int] = self._pixels.shape[0], self._pixels.shape[1]
            self.has_truth = "truth" in self.file
            names = ("mask", "truth") if self.has_truth else ("mask",)
            self._layers = {name: self._layer(name) for name in names}
            self._check_complete()
        except StageError:
            self.file.close()
            raise

    def _read_header(self) -> tuple[Header, float]:
        file, pixels = self.file, self._pixels
        if pixels.ndim != 3 or pixels.dtype != np.uint16 or not all(pixels.shape):
            found = f"{pixels.dtype} {pixels.shape}"
            raise StageError(f"{pixels.where}: expected (H, W, C) uint16, found {found}")
        if attributes.read_text(file, "kind") != "scene":
            raise StageError(f"{self.path}: expected a scene file, found another kind")
        level, epsg = attributes.read_text(file, "level"), attributes.read_number(file, "epsg")
        if level not in LEVELS:
            raise StageError(f"{self.path}: attribute 'level': expected {LEVELS}, found {level!r}")
        transform = tuple(attributes.read_numbers(file, "transform", 6).tolist())
        if not transform[0] * transform[4] - transform[1] * transform[3]:
            raise StageError(f"{self.path}: attribute 'transform': pixels of no size")
        per_unit = attributes.read_number(file, "per_unit")
        if per_unit <= 0:
            raise StageError(f"{self.path}: attribute 'per_unit': expected more than 0")
        bands = attributes.read_texts(file, "bands", pixels.shape[2])
        return Header(
            Grid(transform, attributes.read_text(file, "crs"), int(epsg)), bands, level,
            product=attributes.read_text(file, "product"), date=attributes.read_text(file, "date"),
            source_offset=tuple(attributes.read_numbers(file, "source_offset", len(bands))),
            masked=attributes.read_flag(file, "masked"),
        ), per_unit  # fmt: skip

    def _layer(self, name: str) -> hdf5.Dataset:
        layer = self.file[name]
        if layer.shape != self.shape or layer.dtype != np.uint8:
            found = f"{layer.dtype} {layer.shape}"
            raise StageError(f"{layer.where}: expected {self.shape} uint8, found {found}")
        return layer

    def _check_complete(self) -> None:
        written = self.file["written"][()]
        if written.shape != (-(-self.shape[0] // BLOCK),):
            raise StageError(
                f"{self.path}: written: expected a mark of every {BLOCK} rows, found "
                f"{written.shape}"
            )
        if not written.all():
            left = f"{int((written == 0).sum())} of {len(written)} blocks are not written"
            raise StageError(f"{self.path}: unfinished: {left}")

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in file order."""
        return self.header.bands

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self.header.grid

    def raw(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint16]:
        """(height, width, C) stored numbers of a window that lies in the scene; 0 is no data."""
        return self._read(self._pixels, Window(top, left, height, width))

    def window(self, top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
        """(height, width, C) reflectance of a window that lies in the scene; 0 is no data."""
        layout = lcz.Layout(self.bands, 0.0, 2.8, self._per_unit)
        return layout.decode(self.raw(top, left, height, width))

    def mask(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) what hides the ground: the numbers of `MASKS`."""
        return self._read(self._layers["mask"], Window(top, left, height, width))

    def truth(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) class of the ground, 1 to 17, or 0; StageError when nobody knows it."""
        if not self.has_truth:
            raise StageError(f"{self.path}: expected a scene with truth, found one without")
        return self._read(self._layers["truth"], Window(top, left, height, width))

    def valid(
        self, top: int, left: int, height: int, width: int, hiding: tuple[int, ...] = HIDING
    ) -> NDArray[np.bool_]:
        """(height, width) whether the ground is seen: data in all bands, and nothing in between.

        Args:
            top, left, height, width: the window.
            hiding: numbers of the mask that hide the ground; () looks at the data alone.
        """
        there = (self.raw(top, left, height, width) != NO_DATA).all(-1)
        return there & ~np.isin(self.mask(top, left, height, width), hiding) if hiding else there

    def blocks(self, rows: int = BLOCK) -> Iterator[Window]:
        """Windows of whole rows that cover the scene."""
        return blocks(*self.shape, rows)

    def _read(self, data: hdf5.Dataset, window: Window) -> NDArray[Any]:
        inside = (0 <= window.top <= window.top + window.height <= self.shape[0]) and (
            0 <= window.left <= window.left + window.width <= self.shape[1]
        )
        if not inside:
            raise ValueError(f"{window} is not inside {self.shape}")
        return data[window.slices]

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> "Scene":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_scene(path: Path) -> Scene:
    """Open a scene file for reading.

    Raises:
        StageError: it is missing, cut, no scene file, unfinished, or says what cannot be.
    """
    return Scene(path)
