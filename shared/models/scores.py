"""Scores of a classifier against labels, and the files that stages with scores write."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.reading import numpy_files

BINS = 15  # of the calibration error, as Guo et al. count them


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, K) logits to (N, K) probabilities, in double precision."""
    shifted = np.exp(logits - logits.max(1, keepdims=True), dtype=np.float64)
    return shifted / shifted.sum(1, keepdims=True)


def mean(
    arrays: Sequence[NDArray[np.floating]], counts: Sequence[int] | None = None
) -> NDArray[np.float64]:
    """The weighted mean of equally shaped arrays, in double precision and whatever their order.

    Args:
        arrays: one (N, K) per ensemble.
        counts: how often each one counts; by default once, however many networks it averages.
    """
    counts = counts or [1] * len(arrays)
    parts = [np.asarray(a, np.float64) * n for a, n in zip(arrays, counts, strict=True)]
    total: NDArray[np.float64] = np.sort(parts, 0).sum(0)  # sorted, so that sums round alike
    return total / sum(counts)


def confusion(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(K, K) counts: row = true class, column = class of the highest score."""
    classes = scores.shape[1]
    pairs = labels * classes + scores.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def metrics(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Overall and average accuracy, kappa, F1 and the per-class values of a confusion matrix.

    Macro values are plain means over the classes, weighted ones count a class by its rows. Macro
    recall is the average accuracy and weighted recall the overall accuracy, so neither is repeated.
    Classes without a row in the test split do not enter the means; undefined ratios count as 0, as
    in scikit-learn. Kappa: Cohen 1960.

    Args:
        matrix: (K, K) counts, row = true class, column = predicted class.
        classes: (K,) names.
    """
    total, hits = matrix.sum(), np.diag(matrix).astype(float)
    truth, predicted = matrix.sum(1), matrix.sum(0)
    recall, precision = _ratio(hits, truth), _ratio(hits, predicted)
    f1 = _ratio(2 * hits, truth + predicted)
    present, share = truth > 0, truth / total
    chance = float((truth / total * predicted / total).sum())
    accuracy = float(hits.sum() / total)
    return {
        "rows": int(total),
        "overall_accuracy": accuracy,
        "average_accuracy": float(recall[present].mean()),
        "kappa": (accuracy - chance) / (1 - chance) if chance < 1 else 0.0,
        "macro_precision": float(precision[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "weighted_f1": float((f1 * share).sum()),
        "weighted_precision": float((precision * share).sum()),
        "per_class": {
            name: {"rows": int(n), "precision": float(p), "recall": float(r), "f1": float(f)}
            for name, n, p, r, f in zip(classes, truth, precision, recall, f1, strict=True)
        },
    }


def calibration_error(
    labels: NDArray[np.integer], scores: NDArray[np.floating], bins: int = BINS
) -> float:
    """Expected calibration error: how far the top score is from how often it is right, 0 to 1.

    Rows are put into bins of equal width by their highest score, each bin with its upper edge; of
    each, |share of right rows - mean highest score| counts by its rows. Guo et al. 2017, "On
    calibration of modern neural networks", equations 2 to 5.

    Args:
        labels: (N,) zero-based true classes.
        scores: (N, K) probabilities.
        bins: equal parts of 0 to 1.
    """
    top, right = scores.max(1).astype(np.float64), scores.argmax(1) == labels
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    # |sum of right - sum of top| is |share - mean| times the rows: empty bins need no care.
    gaps = np.bincount(np.searchsorted(inner, top), weights=right - top, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def _ratio(part: NDArray[np.floating], whole: NDArray[np.number]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def write(
    folder: Path,
    labels: NDArray[np.integer],
    scores: NDArray[np.floating],
    classes: tuple[str, ...],
    **more: Any,
) -> dict[str, Any]:
    """Write test_scores.npy, test_labels.npy, metrics.json and confusion.csv; returns the metrics.

    Args:
        folder: product folder.
        labels: (N,) zero-based true classes.
        scores: (N, K) probabilities.
        classes: (K,) names.
        more: further entries of metrics.json.
    """
    matrix = confusion(labels, scores)
    error = {"expected_calibration_error": calibration_error(labels, scores)}
    measures = metrics(matrix, classes) | error | more
    np.save(folder / "test_scores.npy", scores.astype(np.float32))
    np.save(folder / "test_labels.npy", labels.astype(np.int64))
    (folder / "metrics.json").write_text(
        json.dumps({"classes": classes, **measures}, indent=1) + "\n"
    )
    with (folder / "confusion.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *classes])
        table.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))
    return measures


def read_array(path: Path, dimensions: int) -> NDArray[Any]:
    """Read and check an NPY file of another stage.

    Raises:
        StageError: missing, not NPY, wrong number of dimensions, no numbers, NaN.
    """
    try:
        array = numpy_files.map_array(path)
    except FileNotFoundError:
        raise StageError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StageError(f"{path}: not a complete NPY file ({reason})") from None
    if array.dtype.kind not in "fiub":
        raise StageError(f"{path}: expected numbers, found {str(array.dtype)[:60]}")
    if array.ndim != dimensions:
        raise StageError(f"{path}: expected {dimensions} axes, found shape {array.shape}")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise StageError(f"{path}: NaN or infinite values")
    return np.array(array)
