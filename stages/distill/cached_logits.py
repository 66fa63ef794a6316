"""The teacher's cached results: logits of the training rows, scores of the test rows."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import StageError
from shared.models import scores
from shared.reading import documents

LEAST = 1e-7  # of a probability, before its logarithm


def read(
    folder: Path, labels: tuple[Tensor, Tensor], classes: tuple[str, ...]
) -> tuple[Tensor, float]:
    """(N, K) teacher logits of the training rows, and the teacher's accuracy on the test rows.

    Args:
        folder: score folder of teacher, fusion or sumrule.
        labels: class numbers of the student's training and test rows.
        classes: (K,) names.

    Raises:
        StageError: the folder was made from other rows or classes.
    """
    _same_classes(folder / "metrics.json", classes)
    arrays = []
    for split, name, truth in (("train", "logits", labels[0]), ("test", "scores", labels[1])):
        arrays.append(scores.read_array(folder / f"{split}_{name}.npy", 2))
        expected = (len(truth), len(classes))
        if arrays[-1].shape != expected:
            shape = arrays[-1].shape
            raise StageError(f"{folder}: {split}_{name}: expected {expected}, found {shape}")
        if not np.array_equal(scores.read_array(folder / f"{split}_labels.npy", 1), truth.numpy()):
            raise StageError(f"{folder}: made from other {split} rows: the labels differ")
    accuracy = float((arrays[1].argmax(1) == labels[1].numpy()).mean())
    return torch.from_numpy(to_logits(arrays[0])), accuracy


def _same_classes(path: Path, classes: tuple[str, ...]) -> None:
    try:
        names = documents.read_json(path)["classes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(f"{path}: expected the class names of a teacher ({error})") from None
    if tuple(names) != classes:
        what = f"{len(names)} classes {', '.join(map(str, names[:3]))} …"
        raise StageError(
            f"{path}: expected {len(classes)} classes {', '.join(classes[:3])} …, found {what}"
        )


def is_probabilities(rows: NDArray[np.floating]) -> bool:
    """Whether (N, K) rows are probabilities: not negative, and they sum to 1."""
    return bool(rows.min() >= 0 and np.allclose(rows.sum(1), 1, atol=1e-3))


def log_probabilities(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, K) probabilities to logits: a softmax gives them back."""
    return np.log(np.maximum(rows, LEAST)).astype(np.float32)


def to_logits(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows that are probabilities become log-probabilities; others stay."""
    return log_probabilities(rows) if is_probabilities(rows) else rows.astype(np.float32)
