"""Statistics of tiles: class shares, what is missing, weights of classes, mean and deviation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tiles.form import IGNORE, Table

DIGITS = 6  # behind the point, in what people read


def count_classes(mask: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """(K,) pixels of each class in a mask of any shape; those with IGNORE count nowhere."""
    return np.bincount(mask.ravel(), minlength=256)[:classes].astype(np.int64)


def sum_colours(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(2, C) sums of x and x² over the pixels that have a class.

    Args:
        image: (H, W, C), 0 to 255.
        mask: (H, W), IGNORE where a pixel does not count.
    """
    values = image[mask != IGNORE].astype(np.float64)
    return np.stack([values.sum(0), (values**2).sum(0)])


def weigh(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) weights of classes for a loss: inverse to their shares, with a mean of 1.

    Args:
        shares: (K,) of the pixels; classes without a pixel get 0, and the mean is that of the rest.
    """
    present = shares > 0
    inverse = np.divide(1.0, shares, out=np.zeros_like(shares), where=present)
    weights: NDArray[np.float64] = inverse / inverse[present].mean() if present.any() else inverse
    return weights


def describe(table: Table, *, training: bool) -> dict[str, Any]:
    """What `landcover` tells of a split, in plain Python.

    Args:
        table: counts and sums of its rows, from `read_table`.
        training: whether networks learn from this split: mean, std and weights are told of no
            other one, so that nothing of validation and testing reaches a network.

    Returns:
        rows, pixels with a class, their share of all; per class its share of them and the number
        of rows without it; mean and std of red, green, blue (0 to 255) and weights per class.
    """
    counts, pixels = table.counts.sum(0), int(table.counts.sum())
    shares = counts / max(pixels, 1)
    told: dict[str, Any] = {
        "rows": len(table.counts),
        "pixels": pixels,
        "labelled": round(pixels / max(len(table.counts) * table.pixels, 1), DIGITS),
        "shares": _name(table, shares),
        "rows_without": dict(zip(table.classes, (table.counts == 0).sum(0).tolist(), strict=True)),
    }
    if training and pixels:
        first, second = table.moments.sum(0) / pixels
        spread = np.sqrt(np.maximum(second - first**2, 0))
        told["mean"], told["std"] = (np.round(each, DIGITS).tolist() for each in (first, spread))
        told["weights"] = _name(table, weigh(shares))
    return told


def _name(table: Table, values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(table.classes, np.round(values, DIGITS).tolist(), strict=True))
