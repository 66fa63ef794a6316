"""Which rows of the training split are left out together, so that each one is scored unseen.

As in `holdout`, whole cities are left out where they are known: neighbouring rows are alike.
"""

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.progress import say

Numbers = NDArray[np.integer]


def assign_folds(
    labels: Numbers, cities: Numbers | None, folds: int, classes: tuple[str, ...]
) -> NDArray[np.intp]:
    """The fold of each row; the same for the same arguments.

    Whole cities fall into one fold, the largest first, each into the fold that its classes are the
    rarest in. Where that would leave a fold empty or keep all rows of a class in one fold, and
    where no cities are known, each class's rows are cut into runs in file order, one a fold.

    Args:
        labels: (N,) class numbers.
        cities: (N,) city numbers, or None.
        folds: 2 or more.
        classes: (K,) names.

    Returns:
        (N,) fold numbers, from 0; without any one fold, all classes that occur are left.

    Raises:
        StageError: a class of a single row, which cannot be scored by a network that knows it.
    """
    occur, counts = np.unique(labels, return_counts=True)
    if (counts < 2).any():
        name = classes[occur[counts < 2][0]]
        raise StageError(f"--folds: expected two rows or more of each class, found one of {name}")
    if cities is not None:
        city = np.unique(cities, return_inverse=True)[1]
        chosen = _place_cities(_count(labels, city), folds)
        if chosen is not None:
            return chosen[city]
        say(f"whole cities do not make {folds} folds with all classes outside each: runs of rows")
    return _cut_runs(labels, folds)


def _count(labels: Numbers, city: NDArray[np.intp]) -> NDArray[np.float64]:
    """(cities, classes) share of each class's rows that lies in each city."""
    label = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((city.max() + 1, label.max() + 1))
    np.add.at(counts, (city, label), 1)
    return np.asarray(counts / counts.sum(0))


def _place_cities(shares: NDArray[np.float64], folds: int) -> NDArray[np.intp] | None:
    """(cities,) fold of each city; None where a fold is empty or holds all of a class."""
    chosen = np.zeros(len(shares), np.intp)
    held = np.zeros((folds, shares.shape[1]))
    for city in np.argsort(-shares.sum(1), kind="stable"):
        chosen[city] = np.argmin(((held + shares[city]) ** 2 - held**2).sum(1))
        held[chosen[city]] += shares[city]
    alone = (held > 1 - 1e-9).any()
    return None if alone or not held.any(1).all() else chosen


def _cut_runs(labels: Numbers, folds: int) -> NDArray[np.intp]:
    """(N,) folds: of each class, runs of equal length, the first in fold 0."""
    chosen = np.zeros(len(labels), np.intp)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        chosen[rows] = np.arange(len(rows)) * folds // len(rows)
    return chosen
