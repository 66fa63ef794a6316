"""What networks say of training rows that they were not trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.models import score_folders, scores

Said = tuple[NDArray[np.intp] | None, NDArray[np.float32]]


def average_unseen(said: Sequence[Said]) -> NDArray[np.float64] | None:
    """Mean probabilities of each training row, over the networks that did not train on it.

    Args:
        said: of each network the (U,) rows that it was not trained on, or None if that is not
            known, and its (N, K) logits of all rows.

    Returns:
        (N, K); None where some row was trained on by all networks.
    """
    shape = said[0][1].shape
    total, counts = np.zeros(shape), np.zeros(shape[0], np.intp)
    for unseen, logits in said:
        if unseen is not None:
            total[unseen] += scores.softmax(logits[unseen])
            counts[unseen] += 1
    return total / counts[:, None] if counts.all() else None


def write(dst: Path, said: Sequence[Said], truth: NDArray[np.integer]) -> dict[str, Any]:
    """Write out_of_fold_scores.npy where there are such scores of every row.

    Args:
        dst: score folder.
        said: as `average_unseen`.
        truth: (N,) class numbers of the training rows.

    Returns:
        "out_of_fold_accuracy" for metrics.json, or nothing.
    """
    mean = average_unseen(said)
    if mean is None:
        return {}
    np.save(dst / score_folders.OUT_OF_FOLD, mean.astype(np.float32))
    return {"out_of_fold_accuracy": float((mean.argmax(1) == truth).mean())}
