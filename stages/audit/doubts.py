"""Which labels look wrong: confident learning by cleanlab, on scores out of sample."""

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray


def find(
    labels: NDArray[np.integer], scores: NDArray[np.floating], method: str
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
    """Suggested class, quality and suspicion of each label.

    A row counts as another class where that class's score is at least what rows labelled so have on
    average; how many rows do so says how many labels of each pair of classes are wrong, and the
    rows that fit their label worst are taken. Northcutt, Jiang and Chuang 2021, "Confident
    learning: estimating uncertainty in dataset labels".

    Args:
        labels: (N,) class numbers.
        scores: (N, K) probabilities, from networks that were not trained on the row.
        method: cleanlab's ``filter_by``.

    Returns:
        (N,) likeliest class among those that occur; (N,) 0 … 1, the score of the given class; (N,)
        whether the label looks wrong.
    """
    occur, given = np.unique(labels, return_inverse=True)
    known = scores[:, occur].astype(np.float64)
    total = known.sum(1, keepdims=True)
    # Rows that are all of classes which do not occur say nothing of those that do.
    known = np.where(total > 0, known / np.where(total > 0, total, 1), 1 / len(occur))
    suggested = occur[known.argmax(1)]
    quality = get_label_quality_scores(given, known, method="self_confidence")
    if len(occur) < 2:
        return suggested, quality, np.zeros(len(labels), bool)
    suspect = find_label_issues(given, known, filter_by=method, n_jobs=1)
    return suggested, quality.clip(0, 1), np.asarray(suspect, bool)
