"""Which city each patch is of: as the source or a file beside it says, or by where it lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import Source, attributes, hdf5
from shared.patches.layers import Stored
from shared.terminal import escape

CELL = 25_000.0  # metres; patches in the same or touching cells of this size are of one city
FARTHEST = 2e7  # metres; no map projection in metres goes further
NAMELESS = "no name"  # of a city whose name is blank


@dataclass(frozen=True)
class Cities:
    """One city a row.

    Attributes:
        numbers: (N,) int32.
        names: of the cities 0, 1, …; empty when the file gives numbers.
    """

    numbers: NDArray[np.int32]
    names: tuple[str, ...] = ()


def find_cities(source: Source, geo: Path | None) -> Cities | None:
    """The cities of all rows of a source, None when nobody says.

    Args:
        source: the file that is prepared, which may have a `city` of its own.
        geo: file in the manner of So2Sat's training_geo.h5; it has the last word.

    Raises:
        StageError: another number of rows, or neither cities nor places in geo.
    """
    if geo is None:
        return _told(source.file, source.path, source.total) if "city" in source else None
    with hdf5.File(geo) as file:
        if "city" in file:
            return _told(file, geo, source.total)
        if not ("epsg" in file and "tfw" in file):
            expected = "expected dataset 'city', or 'epsg' and 'tfw'"
            raise StageError(f"{geo}: {expected}, found {file.list_members()}")
        epsg, place = (_column(file, name, geo, source.total) for name in ("epsg", "tfw"))
    stored = f"{place.dtype} {place.shape}"
    numbers = place.shape[1] == 6 and place.dtype.kind in "fiu"
    place = place.astype(np.float64) if numbers else np.full((1, 6), np.inf)
    if not (abs(place) < FARTHEST).all():
        raise StageError(f"{geo}: tfw: expected (N, 6) numbers in metres, found {stored} or beyond")
    return group_by_place(_whole(epsg[:, 0], geo, "epsg"), place[:, [0, 3]])


def group_by_place(epsg: NDArray[np.integer], corner: NDArray[np.floating]) -> Cities:
    """Patches that lie together, as one city each.

    Args:
        epsg: (N,) code of the map projection.
        corner: (N, 2) easting and northing in metres.

    Returns:
        numbers in the order of codes, then of cells from west to east; names by code and middle.
    """
    from scipy import ndimage

    cell = np.floor(corner / CELL).astype(np.int64)
    numbers = np.zeros(len(epsg), np.int32)
    names: list[str] = []
    for code in np.unique(epsg):
        here = np.flatnonzero(epsg == code)
        place = cell[here] - cell[here].min(0)
        taken = np.zeros(place.max(0) + 1, bool)
        taken[tuple(place.T)] = True
        groups, count = ndimage.label(taken, np.ones((3, 3)))
        group = groups[tuple(place.T)] - 1
        numbers[here] = len(names) + group
        for number in range(count):
            east, north = corner[here[group == number]].mean(0) / 1000
            names.append(f"EPSG:{code}, {east:.0f} km E, {north:.0f} km N")
    return Cities(numbers, tuple(names))


def _told(file: hdf5.File, path: Path, total: int) -> Cities:
    """A dataset `city` of names or of whole numbers; names are numbered in alphabetical order."""
    values, where = _column(file, "city", path, total)[:, 0], f"{path}: city"
    if values.dtype.kind in "OSU":
        texts = [v.decode(errors="surrogateescape") if isinstance(v, bytes) else v for v in values]
        if not all(isinstance(text, str) for text in texts):
            raise StageError(f"{where}: expected names or whole numbers, found {texts[0]!r}")
        names = [escape(text.strip("\0 ")) or NAMELESS for text in texts]
        known, number = np.unique(np.array(names, str), return_inverse=True)
        return Cities(number.astype(np.int32), tuple(known.tolist()))
    named, numbers = "names" in file["city"].attrs, _whole(values, path, "city")
    listed = attributes.read_texts(file["city"], "names") if named else ()
    if listed and numbers.max() >= len(listed):
        expected = f"names of {numbers.max() + 1} cities or more"
        raise StageError(f"{where}: attribute 'names': expected {expected}, found {len(listed)}")
    return Cities(numbers, listed)


def _whole(values: NDArray[Any], path: Path, name: str) -> NDArray[np.int32]:
    """The values as int32; StageError when that would change one."""
    if values.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            numbers = values.astype(np.int32)
        if (numbers == values).all():
            return numbers
    also = "names or " if name == "city" else ""
    raise StageError(f"{path}: {name}: expected {also}whole numbers, found others ({values.dtype})")


def _column(file: hdf5.File, name: str, path: Path, total: int) -> NDArray[Any]:
    """(N, columns) of one dataset; (N,) becomes one column."""
    stored = Stored(file[name], 6 if name == "tfw" else None)
    shape = stored.shape
    if len(shape) not in (1, 2) or shape[0] != total:
        expected = f"{total} rows as in the patches"
        raise StageError(f"{path}: {name}: expected {expected}, found shape {shape}")
    if len(shape) == 2 and name != "tfw" and shape[1] != 1:
        raise StageError(f"{path}: {name}: expected one column, found shape {shape}")
    return stored.read((slice(0, total),)).reshape(total, -1)
