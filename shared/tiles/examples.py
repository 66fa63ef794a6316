"""Tiles to show: which ones, and masks in the colours of their classes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.tiles.form import IGNORE

UNKNOWN = (255, 255, 255)  # pixels that have no class


def choose_examples(counts: NDArray[np.int64], number: int) -> list[int]:
    """Rows that show every class, the rare ones first.

    In turn each class that occurs, from the rarest on, adds the row that has most of it among those
    not taken yet.

    Args:
        counts: (N, K) pixels of each class.
        number: of rows wanted, at most.

    Returns:
        Their numbers, ascending.
    """
    occur = np.flatnonzero(counts.sum(0))
    order = occur[np.argsort(counts.sum(0)[occur], kind="stable")]
    taken: list[int] = []
    while len(taken) < min(number, len(counts)) and len(order):
        for kind in order[: min(number, len(counts)) - len(taken)]:
            left = np.setdiff1d(np.arange(len(counts)), taken)
            taken.append(int(left[counts[left, kind].argmax()]))
    return sorted(taken)


def colour_mask(mask: NDArray[np.uint8], colours: Sequence[str]) -> NDArray[np.uint8]:
    """(H, W) class numbers to (H, W, 3) red, green, blue; white where a pixel has no class.

    Args:
        mask: with IGNORE for no class.
        colours: "#rrggbb" of each class.
    """
    table = np.full((256, 3), UNKNOWN, np.uint8)
    table[: len(colours)] = [tuple(bytes.fromhex(colour.lstrip("#"))) for colour in colours]
    table[IGNORE] = UNKNOWN
    return np.asarray(table[mask])
