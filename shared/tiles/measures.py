"""How well predicted masks agree with the truth, by counts that add up over a whole data set.

The mean of values per batch is not the value of the data set: a class that is rare in a batch
counts there as much as where it is common. So counts are added up, and measured once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.tiles.form import IGNORE

Confusion = NDArray[np.int64]
Mask = NDArray[np.uint8]


def count_confusion(truth: Mask, predicted: Mask, classes: int) -> Confusion:
    """(K, K) pixels: row = true class, column = predicted class; add them up over masks.

    Args:
        truth: class numbers of any shape; pixels with IGNORE count nowhere.
        predicted: class numbers of the same shape, also where the truth has none.
        classes: K.

    Raises:
        ValueError: the shapes differ, or a number is no class.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected masks of one shape, found {truth.shape} and {predicted.shape}")
    known = truth != IGNORE
    rows, columns = truth[known].astype(np.intp), predicted[known].astype(np.intp)
    if max(rows.max(initial=0), columns.max(initial=0)) >= classes:
        raise ValueError(f"expected class numbers below {classes}")
    counts = np.bincount(rows * classes + columns, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def intersect_over_union(confusion: Confusion) -> NDArray[np.float64]:
    """(K,) IoU of each class; NaN for one that is neither in the truth nor predicted.

    Args:
        confusion: (K, K) counts of a whole data set.
    """
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(0) + confusion.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(confusion: Confusion) -> float:
    """Mean IoU of the classes that are in the truth or predicted; 0 where there is none.

    A class that is in neither has no IoU. Counting it as 1 would praise a network for what was
    never asked of it, and counting it as 0 would blame it: it is left out.
    """
    each = intersect_over_union(confusion)
    return 0.0 if np.isnan(each).all() else float(np.nanmean(each))


def measure(confusion: Confusion, classes: tuple[str, ...]) -> dict[str, Any]:
    """The measures of a data set, in plain Python.

    Args:
        confusion: (K, K) counts, row = true class.
        classes: the K names.

    Returns:
        pixels (with a class), mean_iou, pixel_accuracy, macro_f1, macro_precision, macro_recall;
        per_class of each its pixels, iou, f1, precision and recall, all None of a class that is
        neither in the truth nor predicted; such classes are in no mean, and `absent` names them.
        A ratio of nothing counts as 0 for other classes.
    """
    hits, truth, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    counted, total = (truth + predicted) > 0, int(confusion.sum())
    values = {
        "iou": intersect_over_union(confusion),
        "f1": _ratio(2 * hits, truth + predicted),
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, truth),
    }
    means = {name: float(each[counted].mean()) if total else 0.0 for name, each in values.items()}
    per_class = {
        name: {"pixels": int(truth[number])}
        | {key: float(each[number]) if counted[number] else None for key, each in values.items()}
        for number, name in enumerate(classes)
    }
    return {
        "pixels": total,
        "mean_iou": means["iou"],
        "pixel_accuracy": float(hits.sum() / max(total, 1)),
        "macro_f1": means["f1"],
        "macro_precision": means["precision"],
        "macro_recall": means["recall"],
        "absent": [name for name, here in zip(classes, counted, strict=True) if not here],
        "per_class": per_class,
    }


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
