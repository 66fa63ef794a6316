"""Score folders as classifiers write them: read, checked alone and against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models import scores
from shared.names import check_names
from shared.reading import documents

OUT_OF_FOLD = "out_of_fold_scores.npy"
SUM_TOLERANCE = 1e-3  # how far a row of float32 or float16 probabilities may sum from 1

Array = NDArray[Any]


class ScoreFolder(NamedTuple):
    """One score folder.

    Attributes:
        name: stage folder and own folder, such as "teacher/resnet18-rand".
        classes: (K,) names.
        labels: (N,) zero-based true classes of the test split.
        scores: (N, K) probabilities.
        logits: "test", "train" to (N, K) logits, where they are there.
        train_labels: (M,) zero-based true classes beside the train logits, or None.
        networks: how many networks the scores are the plain mean of, or None if not recorded.
    """

    name: str
    classes: tuple[str, ...]
    labels: Array
    scores: Array
    logits: dict[str, Array]
    train_labels: Array | None
    networks: int | None


def read(folder: Path) -> ScoreFolder:
    """Read and check one score folder.

    Raises:
        StageError: a file is missing, broken or of another shape; rows that are no probabilities.
    """
    classes, networks = _description(folder / "metrics.json")
    labels = _labels(folder / "test_labels.npy", len(classes))
    test_scores = _rows(folder / "test_scores.npy", (len(labels), len(classes)))
    _check_sums(folder / "test_scores.npy", test_scores)
    logits, train_labels = {}, None
    if (folder / "test_logits.npy").is_file():
        logits["test"] = _rows(folder / "test_logits.npy", test_scores.shape)
    if (folder / "train_logits.npy").is_file():
        train_labels = _labels(folder / "train_labels.npy", len(classes))
        logits["train"] = _rows(folder / "train_logits.npy", (len(train_labels), len(classes)))
    name = "/".join(folder.resolve().parts[-2:])
    return ScoreFolder(
        name=name, classes=classes, labels=labels, scores=test_scores, logits=logits,
        train_labels=train_labels, networks=networks,
    )  # fmt: skip


def read_out_of_fold(folder: Path) -> tuple[tuple[str, ...], Array, Array]:
    """Class names, (N,) labels and (N, K) probabilities of training rows, none of them trained on.

    Raises:
        StageError: the folder has none; a file is missing, broken or of another shape; rows that
            are no probabilities.
    """
    classes, _ = _description(folder / "metrics.json")
    path = folder / OUT_OF_FOLD
    if not path.is_file():
        raise StageError(f"{folder}: expected {OUT_OF_FOLD}, found none; teacher --folds makes it")
    labels = _labels(folder / "train_labels.npy", len(classes))
    probabilities = _rows(path, (len(labels), len(classes)))
    _check_sums(path, probabilities)
    return classes, labels, probabilities


def _description(path: Path) -> tuple[tuple[str, ...], int | None]:
    """Class names, and how many networks were averaged."""
    try:
        content = documents.read_json(path)
        classes, networks = tuple(str(name) for name in content["classes"]), content.get("networks")
    except OSError:
        raise StageError(f"{path}: expected a score folder with metrics.json, found none") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"{path}: expected JSON with class names ({error})") from None
    check_names(classes, f"{path}: classes")
    if networks is not None and (type(networks) is not int or networks < 1):
        raise StageError(f"{path}: networks: expected 1 or more, found {networks!r}")
    return classes, networks


def _labels(path: Path, classes: int) -> Array:
    labels = scores.read_array(path, 1)
    whole = np.issubdtype(labels.dtype, np.integer) and labels.size > 0
    if not whole or not 0 <= labels.min() <= labels.max() < classes:
        raise StageError(f"{path}: expected class numbers 0 to {classes - 1}")
    return labels


def _rows(path: Path, shape: tuple[int, ...]) -> Array:
    array = scores.read_array(path, 2)
    if array.shape != shape:
        raise StageError(f"{path}: expected {shape} for its labels, found {array.shape}")
    return array


def _check_sums(path: Path, probabilities: Array) -> None:
    off = np.abs(probabilities.sum(1, dtype=np.float64) - 1)
    bad = np.flatnonzero((off > SUM_TOLERANCE) | (probabilities < 0).any(1))
    if len(bad):
        what = f"row {bad[0]} is no probability distribution ({len(bad)} such rows)"
        raise StageError(f"{path}: {what}; each row must be 0 or more and sum to 1")


def check_agreement(folders: Sequence[ScoreFolder]) -> None:
    """Refuse score folders that do not have the same classes and the same rows in the same order.

    Raises:
        StageError: classes, number of rows, or labels of two differ.
    """
    first = folders[0]
    for other in folders[1:]:
        if other.classes != first.classes:
            raise StageError(
                f"{other.name}: expected the {len(first.classes)} classes of {first.name}, "
                f"found {len(other.classes)} others: {', '.join(other.classes[:3])}, …"
            )
        _same_rows(f"{other.name}: test", other.labels, first.name, first.labels)
        if other.train_labels is not None and first.train_labels is not None:
            _same_rows(f"{other.name}: train", other.train_labels, first.name, first.train_labels)


def _same_rows(where: str, labels: Array, reference: str, expected: Array) -> None:
    if len(labels) != len(expected):
        raise StageError(
            f"{where}: expected {len(expected)} rows as in {reference}, found {len(labels)}"
        )
    other = np.flatnonzero(labels != expected)
    if len(other):
        raise StageError(f"{where}: row {other[0]} has another label than in {reference}")
