"""Which rows of the training split are held out: those the file marks, else whole cities or runs.

Single rows drawn at random would leak: neighbouring patches of one city overlap in what they show.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.errors import StageError
from shared.progress import say

Chosen = frozenset[int]  # positions of cities


def hold_out(paths: Sequence[Path], labels: NDArray[np.integer], share: float) -> NDArray[np.intp]:
    """Rows that are never trained on: those that the files mark, else as `choose_rows` says.

    Args:
        paths: patch files with the same rows.
        labels: (N,) class numbers.
        share: of the rows, 0 to below 1; without effect where rows are marked.

    Returns:
        (M,) row numbers, ascending.

    Raises:
        StageError: as `patches.read_marks`; the marks leave nothing to train on, or no row of a
            class, or those of two files differ.
    """
    first, *others = [_read_marks(path) for path in paths]
    for path, marks in zip(paths[1:], others, strict=True):
        if not np.array_equal(first, marks):
            raise StageError(f"{path}: validation: expected the same rows as in {paths[0]}")
    if not len(first):
        return choose_rows(labels, read_cities(paths[0]), share)
    _check_marks(paths[0], first, labels)
    say(f"{paths[0]}: {len(first)} rows are marked as validation and never trained on")
    return first


def _read_marks(path: Path) -> NDArray[np.intp]:
    """(M,) rows that a file marks as validation, ascending."""
    with patches.read(path, "label") as source:
        marks = patches.read_marks(source)
    return np.array([], np.intp) if marks is None else np.flatnonzero(marks)


def _check_marks(path: Path, marked: NDArray[np.intp], labels: NDArray[np.integer]) -> None:
    """StageError where the rows that are left are none, or lack a class that occurs."""
    if len(marked) == len(labels):
        raise StageError(f"{path}: validation: expected rows to train on, found all rows marked 1")
    lost = np.setdiff1d(labels, np.delete(labels, marked))
    if len(lost):
        with patches.read(path, "label") as source:
            names = ", ".join(source.classes[number] for number in lost)
        raise StageError(f"{path}: validation: expected rows of each class to train on, found "
                         f"none of {names}: every one is marked 1")  # fmt: skip


def read_cities(path: Path) -> NDArray[np.int64] | None:
    """(N,) city numbers of a patch file, None where it has no `city`.

    Raises:
        StageError: `city` does not hold one whole number a row.
    """
    with patches.read(path, "label") as source:
        if "city" not in source:
            return None
        stored = source["city"].stored
        if stored.ndim != 1 or stored.dtype.kind not in "iu":
            described = f"{stored.dtype} {stored.shape}"
            raise StageError(f"{path}: city: expected one whole number a row, found {described}")
        return source["city"].raw(slice(None)).astype(np.int64)


def choose_rows(
    labels: NDArray[np.integer], cities: NDArray[np.integer] | None, share: float
) -> NDArray[np.intp]:
    """Rows to keep back from training; the same for the same arguments.

    With cities, whole ones are held out: those whose rows come closest to the share, of all rows
    and of each class, and without which every class that occurs is still trained on. Where no
    choice of cities holds out between half the share and twice the share (one city, two large
    ones), and where none are known, the last run of each class's rows in file order is held out.

    Args:
        labels: (N,) class numbers.
        cities: (N,) city numbers, or None.
        share: of the rows, 0 to below 1; 0 holds out none.

    Returns:
        (M,) row numbers, ascending.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share {share}, expected 0 to below 1")
    if not share or not len(labels):
        return np.array([], np.intp)
    if cities is not None:
        names, city = np.unique(cities, return_inverse=True)
        chosen = _choose(_counts(labels, city), share)
        if chosen:
            return np.flatnonzero(np.isin(city, list(chosen)))
        say(f"no whole cities of {len(names)} make up about {share:g} of the rows: runs of rows")
    return _runs(labels, share)


def _runs(labels: NDArray[np.integer], share: float) -> NDArray[np.intp]:
    """The last rows of each class, never all of them."""
    rows = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    counts = [min(round(share * len(of)), len(of) - 1) for of in rows]
    return np.sort(np.concatenate([of[len(of) - n :] for of, n in zip(rows, counts, strict=True)]))


def _counts(labels: NDArray[np.integer], city: NDArray[np.intp]) -> NDArray[np.intp]:
    """(cities, classes) rows of each class that occurs in each city."""
    classes, label = np.unique(labels, return_inverse=True)
    counts = np.zeros((city.max() + 1, len(classes)), np.intp)
    np.add.at(counts, (city, label), 1)
    return counts


def _choose(counts: NDArray[np.intp], share: float) -> Chosen:
    """Positions of the cities to hold out; empty when none will do.

    From the best single city on, one is added, dropped or exchanged as long as the misfit shrinks.
    """
    here: Chosen = frozenset()
    moves: Iterable[Chosen] = (frozenset({city}) for city in range(len(counts)))
    reached = np.inf
    while True:
        near = [(_misfit(counts, other, share), other) for other in moves]
        misfit, other = min(
            near, key=lambda candidate: candidate[0]
        )  # ties: the first, so the same always
        if misfit >= reached:
            break
        reached, here = misfit, other
        moves = _moves(here, len(counts))
    held = counts[sorted(here)].sum() / counts.sum()
    return here if share / 2 <= held <= 2 * share else frozenset()


def _moves(chosen: Chosen, total: int) -> Iterator[Chosen]:
    """Every choice that is one city more, one fewer, or has one exchanged; none is empty."""
    for city in range(total):
        if city not in chosen:
            yield chosen | {city}
            yield from (chosen - {old} | {city} for old in sorted(chosen))
        elif len(chosen) > 1:
            yield chosen - {city}


def _misfit(counts: NDArray[np.intp], chosen: Chosen, share: float) -> float:
    """How far the held-out share of all rows, and on average of each class, is from the share.

    Infinite when a class would not be trained on, so that no misfit is below a forbidden one.
    """
    whole, held = counts.sum(0), counts[sorted(chosen)].sum(0)
    if (held == whole).any():
        return np.inf
    return float(abs(held.sum() / whole.sum() - share) + np.abs(held / whole - share).mean())
