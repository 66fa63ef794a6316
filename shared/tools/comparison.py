"""Compare the content of two products: identical, or the largest difference and its position."""

import csv
import filecmp
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import hdf5
from shared.reading import documents
from shared.runs import record

BLOCK = 2**24  # values of an HDF5 dataset compared at once


@dataclass(frozen=True)
class Difference:
    """One place where two products differ.

    Attributes:
        where: file, and dataset, key or cell in it.
        what: in words.
        size: largest absolute difference of numbers; infinite for anything else.
    """

    where: str
    what: str
    size: float


def compare_products(one: Path, other: Path) -> list[Difference]:
    """Differences between two files or folders, the largest first; empty when identical."""
    differences = list(_folders(one, other) if one.is_dir() else _files(one.name, one, other))
    return sorted(differences, key=lambda difference: -difference.size)


def _folders(one: Path, other: Path) -> Iterator[Difference]:
    names = [
        {path.relative_to(folder).as_posix() for path in record.files_of(folder)}
        for folder in (one, other)
    ]
    for name in sorted(names[0] ^ names[1]):
        yield Difference(name, "only in one of the two", np.inf)
    for name in sorted(names[0] & names[1]):
        yield from _files(name, one / name, other / name)


def _files(name: str, one: Path, other: Path) -> Iterator[Difference]:
    if filecmp.cmp(one, other, shallow=False):
        return
    with one.open("rb") as file:
        start = file.read(8)
    kinds: dict[bytes, Callable[[str, Path, Path], Iterator[Difference]]]
    kinds = {b"\x89HDF": _hdf5, b"\x93NUM": _npy}
    suffixes = {".json": _json, ".csv": _csv}
    compare = kinds.get(start[:4]) or suffixes.get(one.suffix.lower(), _bytes)
    try:
        yield from compare(name, one, other)
    except (OSError, ValueError, StageError) as error:
        yield Difference(name, f"cannot be read ({error})", np.inf)


def _npy(name: str, one: Path, other: Path) -> Iterator[Difference]:
    yield from compare_arrays(name, np.load(one), np.load(other))


def compare_arrays(where: str, one: NDArray[Any], other: NDArray[Any]) -> Iterator[Difference]:
    """At most one difference between two arrays: of shape, type or values."""
    if one.shape != other.shape or one.dtype != other.dtype:
        shapes = f"{one.shape} {one.dtype} and {other.shape} {other.dtype}"
        yield Difference(where, shapes, np.inf)
    elif not np.issubdtype(one.dtype, np.number):
        if not np.array_equal(one, other):
            yield Difference(where, "different values", np.inf)
    elif one.size:
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        apart = np.where(np.isnan(one) & np.isnan(other), 0, np.nan_to_num(apart, nan=np.inf))
        if apart.max() > 0:
            worst = np.unravel_index(int(apart.argmax()), apart.shape)
            place = f"largest at [{', '.join(str(int(index)) for index in worst)}]"
            what = f"{np.count_nonzero(apart)} of {one.size} values, {place}"
            yield Difference(where, what, float(apart.max()))


def _hdf5(name: str, one: Path, other: Path) -> Iterator[Difference]:
    with hdf5.File(one) as a, hdf5.File(other) as b:
        yield from _attributes(name, a, b)
        for key in sorted({*a, *b}):
            where = f"{name}: {key}"
            if key not in a or key not in b:
                yield Difference(where, "only in one of the two", np.inf)
            else:
                yield from _attributes(where, a[key], b[key])
                yield from _dataset(where, a[key], b[key])


def _attributes(where: str, one: Any, other: Any) -> Iterator[Difference]:
    for key in sorted(one.attrs.keys() | other.attrs.keys()):
        pair = [np.asarray(x.attrs[key]) for x in (one, other) if key in x.attrs]
        if len(pair) < 2:
            yield Difference(f"{where}: attribute {key}", "only in one of the two", np.inf)
        else:
            yield from compare_arrays(f"{where}: attribute {key}", *pair)


def _dataset(where: str, one: hdf5.Dataset, other: hdf5.Dataset) -> Iterator[Difference]:
    if one.shape != other.shape or not one.shape:
        yield from compare_arrays(where, one[()], other[()])
        return
    step = max(1, BLOCK // max(1, int(np.prod(one.shape[1:]))))
    starts = range(0, one.shape[0], step)
    for start in starts:
        rows = slice(start, start + step)
        yield from compare_arrays(f"{where} from row {start}", one[rows], other[rows])


def _json(name: str, one: Path, other: Path) -> Iterator[Difference]:
    yield from _values(name, documents.read_json(one), documents.read_json(other))


def _values(where: str, one: Any, other: Any) -> Iterator[Difference]:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            if key in one and key in other:
                yield from _values(f"{where}: {key}", one[key], other[key])
            else:
                yield Difference(f"{where}: {key}", "only in one of the two", np.inf)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _values(f"{where}[{index}]", a, b)
    elif one != other:
        apart = abs(one - other) if numbers else np.inf
        yield Difference(where, f"{str(one)[:40]} and {str(other)[:40]}", float(apart))


def _csv(name: str, one: Path, other: Path) -> Iterator[Difference]:
    tables = [csv.reader(path.read_text().splitlines()) for path in (one, other)]
    yield from _values(f"{name}: row", *([[*map(_number, row)] for row in t] for t in tables))


def _number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def _bytes(name: str, one: Path, other: Path) -> Iterator[Difference]:
    a, b = (np.frombuffer(path.read_bytes(), np.uint8) for path in (one, other))
    shorter = min(len(a), len(b))
    apart = np.flatnonzero(a[:shorter] != b[:shorter])
    first = int(apart[0]) if len(apart) else shorter
    yield Difference(name, f"{len(a)} and {len(b)} bytes, different from byte {first}", np.inf)
