"""Orthophotos as map reads them: red, green and blue of any size, their place, known classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.clutter import without_clutter
from shared.errors import StageError
from shared.scenes import Grid, Header, Scene
from shared.terminal import escape
from shared.tiles import IGNORE, rasters

IMAGES, MASKS = "images", "masks"  # folders of LandCover.ai's layout


def are_given(src: Path) -> bool:
    """Whether a path names orthophotos; if not, it is for a scene file."""
    return src.is_dir() or src.suffix.lower() in rasters.DRIVERS


def find(src: Path) -> dict[str, Path]:
    """The orthophotos of a folder by name, or the one that is given as "".

    Raises:
        StageError: none in the folder; two of one name.
    """
    if src.is_file():
        return {"": src}
    folder = src / IMAGES if (src / IMAGES).is_dir() else src
    found: dict[str, Path] = {}
    for path in sorted(without_clutter(folder.iterdir())):
        if path.suffix.lower() not in rasters.DRIVERS or not path.is_file():
            continue
        if path.stem in found:
            both = f"{found[path.stem].name} and {path.name}"
            raise StageError(f"{folder}: expected one image of each name, found {both}")
        found[path.stem] = path
    if not found:
        endings = ", ".join(rasters.DRIVERS)
        raise StageError(f"{folder}: expected orthophotos ({endings}), found none")
    return found


def find_mask(src: Path, image: Path) -> Path | None:
    """The mask of an orthophoto of a folder that has masks beside its images."""
    if image.parent != src / IMAGES:
        return None
    for ending in sorted(rasters.LOSSLESS):
        for mark in ("", "_m"):
            path = src / MASKS / f"{image.stem}{mark}{ending}"
            if path.is_file():
                return path
    return None


class Orthophoto:
    """An open orthophoto; what a map is drawn of it is the same as of a scene.

    Args:
        path: image file.
        mask: class numbers from 0 of the same pixels, where they are known.

    Attributes:
        path: of the image.
        header: its name and place.
        shape: rows and columns.
        has_truth: whether there is a mask.

    Raises:
        StageError: as `rasters.check_image` and `rasters.check_mask`.
    """

    def __init__(self, path: Path, mask: Path | None = None) -> None:
        self.path, self.has_truth = path, mask is not None
        self.shape = rasters.check_image(path)
        self._layers = {"image": (path, rasters.open_raster(path))}
        if mask is not None:
            rasters.check_mask(mask, self.shape, path)
            self._layers["mask"] = mask, rasters.open_raster(mask)
        self.header = Header(_locate(self._layers["image"][1]), product=escape(path.stem))

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""
        return self.header.grid

    def window(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, 3) red, green, blue of a window inside."""
        path, file = self._layers["image"]
        return rasters.read_pixels(file, path, top, left, (height, width))

    def valid(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """(height, width) which pixels hold data."""
        path, file = self._layers["image"]
        return rasters.read_validity(file, path, top, left, (height, width))

    def truth(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) class numbers from 1, as maps have them; 0 where none is known."""
        path, file = self._layers["mask"]
        stored = rasters.read_pixels(file, path, top, left, (height, width))[..., 0]
        return np.where(stored == IGNORE, 0, stored + np.uint8(1)).astype(np.uint8)

    def picture(self, most: int) -> NDArray[np.uint8]:
        """(h, w, 3) a small version, by means of square blocks; its longer side has at most `most`.

        What has no data is grey.
        """
        height, width = self.shape
        every = min(-(-max(height, width) // most), height, width)
        rows, columns = height // every, width // every
        shown = np.zeros((rows, columns, 3), np.uint8)
        for row in range(rows):
            place = row * every, 0, every, columns * every
            pixels = self.window(*place).reshape(every, columns, every, 3)
            shown[row] = np.rint(pixels.mean((0, 2)))
            seen = self.valid(*place).reshape(every, columns, every).any((0, 2))
            shown[row][~seen] = 128
        return shown

    def close(self) -> None:
        """Close the files."""
        for _, file in self._layers.values():
            file.close()


Ground = Scene | Orthophoto  # what a map is drawn of


@contextmanager
def open_orthophoto(path: Path, mask: Path | None = None) -> Iterator[Orthophoto]:
    """An orthophoto that is open for as long as the block runs.

    Raises:
        StageError: as `Orthophoto`.
    """
    with rasters.environment():
        photo = Orthophoto(path, mask)
        try:
            yield photo
        finally:
            photo.close()


def _locate(file: Any) -> Grid:
    """Transform and reference system of a raster; pixels without a place count from the top."""
    transform = tuple(float(number) for number in file.transform[:6])
    if file.crs is None:
        return Grid(transform)
    return Grid(transform, file.crs.to_wkt(), file.crs.to_epsg() or 0)
