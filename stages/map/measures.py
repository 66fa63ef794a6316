"""What the scores of a cell say: its class, how sure it is, and by how much it leads."""

import numpy as np
from numpy.typing import NDArray

NODATA = 0  # among classes, which are numbered from 1
Scores = NDArray[np.float32]


def is_data(scores: Scores) -> NDArray[np.bool_]:
    """(…,) whether a cell was classified: the scores (…, K) of the others are all 0."""
    return np.asarray((scores > 0).any(-1))


def classify(scores: Scores) -> NDArray[np.uint8]:
    """(…, K) scores to class numbers 1 … K, the first of equal ones; 0 without data."""
    return np.where(is_data(scores), scores.argmax(-1) + 1, NODATA).astype(np.uint8)


def probability(scores: Scores) -> Scores:
    """(…,) score of the class, 0 … 1; NaN without data."""
    return _where_data(scores, scores.max(-1))


def entropy(scores: Scores) -> Scores:
    """(…,) Shannon entropy over that of K equal scores: 0 is sure, 1 knows nothing; NaN without."""
    exact = scores.astype(np.float64)
    logs = np.log(exact, where=exact > 0, out=np.zeros_like(exact))
    return _where_data(scores, -(exact * logs).sum(-1) / np.log(max(2, scores.shape[-1])))


def margin(scores: Scores) -> Scores:
    """(…,) score of the class less that of the next one, 0 … 1; NaN without data."""
    if scores.shape[-1] < 2:
        return probability(scores)
    two = np.partition(scores, scores.shape[-1] - 2, -1)[..., -2:]
    return _where_data(scores, two[..., 1] - two[..., 0])


def percent(scores: Scores) -> NDArray[np.uint8]:
    """(…,) score of the class in whole percent, at least 1; 0 without data."""
    whole = np.rint(100 * scores.max(-1)).clip(1, 100)
    return np.where(is_data(scores), whole, 0).astype(np.uint8)


def blank(scores: Scores) -> Scores:
    """(…, K) scores, NaN without data."""
    return np.where(is_data(scores)[..., None], scores, np.nan).astype(np.float32)


def _where_data(scores: Scores, values: NDArray[np.floating]) -> Scores:
    return np.where(is_data(scores), values, np.nan).astype(np.float32)
