"""Sen2Venµs version 1: a folder per site with a tensor of torch per date, resolution and bands.

Tensors are read without torch and without unpickling (`shared/weight_files`), some rows at a time.
"""

import functools
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.clutter import without_clutter
from shared.errors import StageError
from shared.sisr import venus
from shared.weight_files import reader, stored
from stages.pairs.samples import Layout, Row, Sample, as_int16, read_date

# The files call bands B5, B6, B7 and B8A b4b5b6b8a; the publication has the right names.
SUFFIXES = {
    "b2b3b4b8_10m": "_10m_b2b3b4b8.pt", "b2b3b4b8_05m": "_05m_b2b3b4b8.pt",
    "b5b6b7b8a_20m": "_20m_b4b5b6b8a.pt", "b5b6b7b8a_05m": "_05m_b4b5b6b8a.pt",
}  # fmt: skip
KINDS = ("I16", "I32", "I64", "F32")  # of stored numbers


def open_layout(sites: list[Path], bands: venus.Choice) -> Layout:
    """The rows of all sites, in order of their names and of their dates.

    Raises:
        StageError: no tensors in a folder; one of a date that is missing; tensors that are cut, of
            another shape or of another number of patches.
    """
    columns = {
        name: tuple(column for column in group if column in SUFFIXES)
        for name, group in venus.COLUMNS[bands].items()
    }  # version 1 has neither B11 nor B12
    described = {name: venus.describe_columns(group) for name, group in columns.items()}
    rows, sides = list[Row](), set[int]()
    for site in sites:
        for start in _list_dates(site):
            files = {c: Path(f"{start}{SUFFIXES[c]}") for g in columns.values() for c in g}
            counts, side = _check_shapes(files, described["low"].metres, columns["low"][0])
            sides.add(side)
            if len(sides) > 1:
                found = " and ".join(map(str, sorted(sides)))
                raise StageError(f"{start}: expected patches of one size, found sides of {found}")
            date = read_date(start.name)
            rows += [Row(site.name, date, (files, k)) for k in range(counts)]
    form = sisr.Form(sides.pop(), described)
    return Layout(form, rows, functools.partial(_read, columns=columns), _name)


def _list_dates(site: Path) -> list[Path]:
    """What the names of the tensors of one date begin with, as paths, in order."""
    starts = set()
    for path in without_clutter(site.glob("*.pt")):
        suffix = next((end for end in SUFFIXES.values() if path.name.endswith(end)), "")
        if not suffix:
            expected = ", ".join(f"NAME{end}" for end in SUFFIXES.values())
            raise StageError(f"{path}: expected one of {expected}, found another name")
        starts.add(path.with_name(path.name.removesuffix(suffix)))
    if not starts:
        raise StageError(f"{site}: expected tensors such as NAME_10m_b2b3b4b8.pt, found none")
    return sorted(starts)


def _check_shapes(files: dict[str, Path], metres: float, first: str) -> tuple[int, int]:
    """Patches of a date, and the side of the coarser image; headers are read, values are not."""
    shapes = {}
    for column, path in files.items():
        if not path.is_file():
            beside = next(iter(other.name for other in files.values() if other.is_file()))
            raise StageError(f"{path}: expected this tensor beside {beside}, found none")
        with path.open("rb") as file:
            shapes[column] = _open(file, path, check=False).shape
    count, _, side, _ = shapes[first]
    for column, shape in shapes.items():
        bands = venus.describe_columns((column,))
        pixels = round(side * metres / bands.metres)
        expected = (count, len(bands.names), pixels, pixels)
        if shape != expected:
            where = f"{files[column]}: expected {expected} as {files[first].name} has patches"
            raise StageError(f"{where}, found {shape}")
    return count, side


def _open(file: IO[bytes], path: Path, *, check: bool) -> stored.Stored:
    tensor = reader.open_tensor(file, path, check=check)
    if tensor.storage.kind not in KINDS or len(tensor.shape) != 4 or not tensor.count:
        found = f"{tensor.storage.kind} of shape {tensor.shape}"
        raise StageError(f"{path}: expected numbers of shape (patches, 4, H, W), found {found}")
    return tensor


@functools.lru_cache(4)
def _hold(path: Path) -> tuple[IO[bytes], stored.Stored]:
    """The tensors of one date stay open; their checksums are compared once."""
    file = path.open("rb")
    return file, _open(file, path, check=True)


def _name(row: Row) -> str:
    """The coarser image of a row; its file is the first."""
    files, number = row.parts
    return f"{next(iter(files.values()))}: patch {number}"


def _read(row: Row, columns: dict[str, tuple[str, ...]]) -> Sample:
    files, number = row.parts
    return {
        name: np.concatenate([_read_patch(files[column], number) for column in group], -1)
        for name, group in columns.items()
    }


def _read_patch(path: Path, number: int) -> NDArray[np.int16]:
    """(H, W, 4) one patch of a tensor."""
    file, tensor = _hold(path)
    try:
        values = tensor.read_rows(file, slice(number, number + 1))[0]
    except (ValueError, OSError) as error:
        raise StageError(f"{path}: patch {number}: {error}") from None
    return as_int16(np.moveaxis(values, 0, -1), f"{path}: patch {number}")
