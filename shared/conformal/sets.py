"""How strange each class looks for a row, how strange a true class may look, and the sets."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["lac", "aps"]
METHODS: tuple[Method, ...] = ("lac", "aps")


def strangeness(scores: NDArray[np.floating], method: Method) -> NDArray[np.float64]:
    """(…, K) probabilities to (…, K) how strange each class would be as the true one, 0 … 1.

    Args:
        scores: (…, K) probabilities.
        method: lac: 1 less the probability of the class (Sadinle et al. 2019, "Least ambiguous
            set-valued classifiers"). aps: the probability of all classes that are likelier (Romano
            et al. 2020, "Classification with valid and adaptive coverage", without its random
            part); of equal classes the first counts as likelier.
    """
    exact = scores.astype(np.float64)
    if method == "lac":
        return 1.0 - exact
    order = np.argsort(-exact, -1, kind="stable")
    ranked = np.take_along_axis(exact, order, -1)
    before = np.cumsum(ranked, -1) - ranked
    result = np.empty_like(exact)
    np.put_along_axis(result, order, before, -1)
    return result


def limit(strange: NDArray[np.float64], coverage: float) -> float:
    """How strange a class in a set may be, from n rows: their ⌈(n + 1) · coverage⌉-th smallest.

    With it a new row, exchangeable with these, has its true class in its set with a probability of
    `coverage` or more. Infinite, so that sets hold every class, where there are too few rows.

    Args:
        strange: (n,) of the true classes of rows that nothing was trained on.
        coverage: promised share of rows, above 0 and below 1.
    """
    place = rank(len(strange), coverage)
    return float(np.sort(strange)[place - 1]) if place <= len(strange) else math.inf


def rank(rows: int, coverage: float) -> int:
    """⌈(n + 1) · coverage⌉, without the rounding errors of 0.9 · 10 and the like."""
    return math.ceil(round((rows + 1) * coverage, 9))


def within(scores: NDArray[np.floating], most: float, method: Method) -> NDArray[np.bool_]:
    """(…, K) which classes the set of each row holds: those that are not stranger than `most`."""
    return strangeness(scores, method) <= most
