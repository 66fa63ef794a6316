"""The shard files: opened in row order, and refused unless they are one whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import hdf5, list_rows
from shared.patches.layers import Layers, Stored
from shared.runs import record

# Attributes that the Writer derives from the rows: they differ between shards.
OWN = {"mean", "std"}


@dataclass(frozen=True)
class Shard:
    """One open file and the rows of the whole that it holds.

    Attributes:
        path, file: where it is, open for reading.
        members: all its datasets by name, in alphabetical order.
        layers: the same, to read rows of.
        start, stop, total: rows start to stop of total.
    """

    path: Path
    file: hdf5.File
    members: dict[str, hdf5.Dataset]
    layers: dict[str, Layers]
    start: int
    stop: int
    total: int

    def rows(self) -> dict[str, hdf5.Dataset]:
        """Datasets with one entry a row, but `row` itself."""
        constants = self.constants()
        return {n: data for n, data in self.members.items() if n not in {"row", *constants}}

    def constants(self) -> dict[str, hdf5.Dataset]:
        """Datasets that hold for every row."""
        return {n: data for n, data in self.members.items() if "constant" in data.attrs}

    def attributes(self, name: str) -> hdf5.Attributes:
        """Attributes of a dataset, or of the file, whose name is "/"."""
        return self.file.attrs if name == "/" else self.members[name].attrs

    def block(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Stored values of rows start to stop of the whole.

        Raises:
            StageError: they cannot be read, are not finite, or a label is not one-hot.
        """
        here = slice(start - self.start, stop - self.start)
        values = self.layers[name].read(here.start, here.stop)
        flat = values.reshape(len(values), -1)
        wrong, what = ~np.isfinite(flat).all(1), "NaN or infinite values"
        if name == "label":
            wrong, what = (flat.max(1) != 1) | (np.count_nonzero(flat, 1) != 1), "not one-hot"
        if name == "validation":
            wrong, what = ((flat != 0) & (flat != 1)).any(1), "neither 0 nor 1"
        if wrong.any():
            rows = list_rows(np.flatnonzero(wrong) + here.start)
            raise StageError(f"{self.path}: {name}: {what} in {rows}")
        return values


def open_shard(path: Path) -> Shard:
    """Open one shard; StageError when it is not a complete file of the Writer's."""
    file = hdf5.File(path)
    span = np.asarray(file.attrs.get("span", ()))
    if span.shape != (3,) or "row" not in file or "complete_header" not in file.attrs:
        raise StageError(f"{path}: expected one shard of a row-wise stage, found no rows' numbers")
    start, stop, total = (int(number) for number in span)
    members = {name: file[name] for name in file}
    layers = {name: Layers(Stored(data)) for name, data in members.items()}
    shard = Shard(path, file, members, layers, start=start, stop=stop, total=total)
    for name, data in {**shard.rows(), "row": shard.members["row"]}.items():
        if data.shape[:1] != (stop - start,):
            expected = f"{stop - start} rows"
            raise StageError(f"{path}: {name}: expected {expected}, found shape {data.shape}")
        if len(data.unwritten):
            raise StageError(f"{data.where}: never written: {list_rows(data.unwritten)}")
    left = int(np.count_nonzero(shard.members["row"][()] < 0))
    if left:
        raise StageError(f"{path}: unfinished: {left} of {stop - start} rows are not written")
    return shard


def sort_shards(paths: Sequence[Path]) -> list[Shard]:
    """Open all shards and check that they make one whole.

    Raises:
        StageError: a gap, an overlap, a missing end; another layout; another plan.
    """
    shards = sorted((open_shard(path) for path in paths), key=lambda s: (s.start, s.stop))
    reached, first = 0, shards[0]
    for shard in shards:
        if shard.total != first.total:
            raise _differs(first, shard, "rows of the whole", first.total, shard.total)
        if shard.start != reached:
            what = "rows missing" if shard.start > reached else "rows twice"
            low, high = sorted((reached, shard.start))
            raise StageError(f"{shard.path}: {what}: {low} to {high - 1} of {shard.total}")
        reached = shard.stop
    if reached != first.total:
        gap = f"rows {reached} to {first.total - 1} of {first.total} are in none of them"
        raise StageError(f"--src: expected all shards, found {len(shards)}: {gap}")
    for shard in shards[1:]:
        _same_layout(first, shard)
        _same_plan(first, shard)
    return shards


def _same_layout(first: Shard, other: Shard) -> None:
    one, two = first.rows(), other.rows()
    if first.file.keys() != other.file.keys():
        raise _differs(first, other, "datasets", first.file.keys(), other.file.keys())
    for name, data in one.items():
        pair = [(data.shape[1:], str(data.dtype)), (two[name].shape[1:], str(two[name].dtype))]
        if pair[0] != pair[1]:
            raise _differs(first, other, name, *pair)
    for name, data in first.constants().items():
        if not np.array_equal(data[()], other.members[name][()]):
            raise StageError(f"{other.path}: {name}: not the same as in {first.path}")
    for name in ("/", *first.members):
        _same_attributes(first, other, name)


def _same_attributes(first: Shard, other: Shard, name: str) -> None:
    one, two = dict(first.attributes(name)), dict(other.attributes(name))
    for key in sorted((one.keys() | two.keys()) - OWN - ({"span"} if name == "/" else set())):
        if key not in one or key not in two or not np.array_equal(one[key], two[key]):
            what = f"attribute {key!r} of {name}"
            raise _differs(first, other, what, one.get(key), two.get(key))


def _same_plan(first: Shard, other: Shard) -> None:
    """A parameter that only one of them knows had its default in the other."""
    made = [record.load(shard.path) for shard in (first, other)]
    if made == [None, None]:
        return
    one, two = made
    if one is None or two is None:
        lacks, has = (first, other) if one is None else (other, first)
        raise StageError(
            f"{lacks.path}: has no record ({record.record_path(lacks.path).name}) as {has.path} "
            "has, so nothing says that both were made alike; put the record beside it, or make it "
            "again"
        )
    plans = [_plan(one, two.get("defaults", {})), _plan(two, one.get("defaults", {}))]
    if plans[0] != plans[1]:
        what = record.differences(*plans)
        raise StageError(f"{other.path}: was made with other settings than {first.path} ({what})")


def _plan(made: dict[str, Any], defaults: record.Plan) -> record.Plan:
    """The plan in a record but for its --shard."""
    plan = record.fill_defaults(made["plan"], defaults)
    given = plan["parameters"]
    return plan | {"parameters": {k: v for k, v in given.items() if k != "shard"}}


def _differs(first: Shard, other: Shard, what: str, expected: Any, actual: Any) -> StageError:
    return StageError(
        f"{other.path}: {what}: expected {expected} as in {first.path}, found {actual}"
    )
