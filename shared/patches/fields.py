"""The content of a patch file: fields, constants, allocation, moments of the values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.errors import StageError
from shared.patches import attributes
from shared.patches.reader import Source

CHUNK_BYTES = 2**20  # one HDF5 chunk: whole rows, about this much


@dataclass(frozen=True)
class Field:
    """One row-wise dataset to write.

    Attributes:
        shape: of one row, such as (H, W, C).
        dtype: storage type.
        layout: bands and range, for sen1, sen2 and rgb; these also get mean and std.
        names: what its numbers 0, 1, … stand for, such as cities; stored as an attribute.
    """

    shape: tuple[int, ...]
    dtype: str
    layout: lcz.Layout | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constant:
    """One dataset that is valid for all rows, such as a grid; it has the attribute `constant`.

    Attributes:
        values: what is stored.
        attributes: HDF5 attributes that explain the values.
    """

    values: NDArray[Any]
    attributes: Mapping[str, Any] = default(default_factory=dict)


def name_table(names: Sequence[str]) -> Constant:
    """Names that rows point at by number, as (names, L) bytes of UTF-8 with zeros behind them.

    An attribute ends at 64 KiB.
    """
    encoded = [name.encode() for name in names]
    longest = max(map(len, encoded))
    table = np.frombuffer(b"".join(name.ljust(longest, b"\0") for name in encoded), np.uint8)
    return Constant(table.reshape(len(encoded), longest))


def read_name_table(source: Source, name: str) -> tuple[str, ...]:
    """The names in a table that `name_table` made.

    Raises:
        StageError: a dataset that is no such table.
    """
    stored = source.file[name]
    table = stored[()]
    if table.ndim != 2 or table.dtype != np.uint8:
        raise StageError(f"{stored.where}: expected names as bytes, found {table.dtype}")
    try:
        return tuple(bytes(line).rstrip(b"\0").decode() for line in table)
    except UnicodeDecodeError:
        raise StageError(f"{stored.where}: expected names in UTF-8, found other bytes") from None


def field_like(source: Source, name: str) -> Field:
    """The field for a copy of a dataset of another file; labels and marks are stored as bytes.

    Raises:
        StageError: a dataset that does not hold numbers, such as cities by name.
    """
    rows = source[name]
    if rows.dtype.kind not in "fiub":
        raise StageError(f"{source.path}: {name}: expected numbers, found {rows.dtype}")
    names = attributes.read_texts(rows.stored, "names") if "names" in rows.stored.attrs else ()
    kind = "uint8" if name in {"label", "validation"} else str(rows.dtype)
    return Field(rows.shape[1:], kind, names=names)


def moments(values: NDArray[np.generic], layout: lcz.Layout) -> NDArray[np.float64]:
    """(N, H, W, C) values to (N, 2, C): sums over pixels of x and x**2, x being 0 … 255."""
    scaled = layout.scale(values.astype(np.float64))
    return np.stack([scaled.sum((1, 2)), np.einsum("nhwc,nhwc->nc", scaled, scaled)], 1)


def allocate(file: h5py.File, name: str, field: Field, count: int) -> None:
    """Create a chunked dataset; its storage and the size of its attributes are fixed now."""
    dtype, shape = np.dtype(field.dtype), (count, *field.shape)
    row_bytes = max(1, dtype.itemsize * int(np.prod(field.shape)))
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if count:
        creation.set_chunk((min(count, max(1, CHUNK_BYTES // row_bytes)), *field.shape))
    creation.set_obj_track_times(False)  # equal content, equal bytes
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
    dataset = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, creation))
    if field.names:
        dataset.attrs["names"] = list(field.names)
    if field.layout:
        layout = field.layout
        per_unit = layout.per_unit if np.issubdtype(dtype, np.integer) else 1.0
        dataset.attrs["bands"] = list(layout.bands)
        dataset.attrs["low"], dataset.attrs["high"] = layout.low, layout.high
        dataset.attrs["per_unit"], dataset.attrs["clip"] = per_unit, layout.clip
        dataset.attrs["mean"] = np.full(len(layout.bands), np.nan)
        dataset.attrs["std"] = np.full(len(layout.bands), np.nan)
