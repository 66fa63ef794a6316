"""How often sets held the true class, group by group, and how often they should have."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.conformal.sets import Method, limit, rank, strangeness

SURE = 0.95  # probability that a count of hits lies within its bounds


@dataclass(frozen=True)
class Coverage:
    """What was reached on the rows of one group, by a limit from the rows of all others.

    Attributes:
        group: its number.
        rows: how many.
        hits: in how many sets the true class was.
        low, high: share of hits that lies between these 95 times of 100 for exchangeable rows.
        size: mean number of classes in a set.
        single: share of the sets with exactly one class.
        empty: share of the sets without any.
    """

    group: int
    rows: int
    hits: int
    low: float
    high: float
    size: float
    single: float
    empty: float

    @property
    def reached(self) -> float:
        """Share of hits."""
        return self.hits / self.rows

    @property
    def is_within(self) -> bool:
        """Whether that lies within the bounds."""
        return self.low <= self.reached <= self.high


def leave_one_out(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    groups: NDArray[np.integer],
    coverage: float,
    method: Method,
) -> list[Coverage]:
    """Each group judged by the rows of all other groups.

    Args:
        scores: (N, K) probabilities of rows that nothing was trained on.
        labels: (N,) zero-based true classes.
        groups: (N,) numbers, such as of cities; two or more.
        coverage: promised share.
        method: as in `strangeness`.
    """
    strange = strangeness(scores, method)
    true = strange[np.arange(len(labels)), labels]
    found = []
    for group in np.unique(groups).tolist():
        own = groups == group
        most = limit(true[~own], coverage)
        sizes = (strange[own] <= most).sum(1)
        rows, hits = int(own.sum()), int((true[own] <= most).sum())
        low, high = bounds(int((~own).sum()), rows, coverage)
        found.append(
            Coverage(
                group=group,
                rows=rows,
                hits=hits,
                low=low,
                high=high,
                size=float(sizes.mean()),
                single=float((sizes == 1).mean()),
                empty=float((sizes == 0).mean()),
            )
        )
    return found


def bounds(calibrated: int, rows: int, coverage: float, sure: float = SURE) -> tuple[float, float]:
    """Shares between which the reached coverage lies with a probability of `sure` or more.

    The limit is that of a sample, so hits are not binomial but beta-binomial: the coverage of a
    limit from n rows is Beta(k, n + 1 - k), k its rank (Vovk 2012, "Conditional validity of
    inductive conformal predictors"), if no two rows are equally strange. Rows of one place are
    alike, so real groups leave these bounds more often.

    Args:
        calibrated: rows that the limit came from.
        rows: rows that were judged.
        coverage: promised share.
        sure: of the interval, with equal tails.
    """
    first = rank(calibrated, coverage)
    if first > calibrated:
        return 1.0, 1.0  # every class is in every set
    chances = _beta_binomial(rows, first, calibrated + 1 - first)
    below = np.cumsum(chances)
    tail = (1 - sure) / 2
    low = int(np.searchsorted(below, tail))
    high = int(np.searchsorted(below, 1 - tail))
    return low / rows, min(high, rows) / rows


def _beta_binomial(rows: int, a: int, b: int) -> NDArray[np.float64]:
    """(rows + 1,) probabilities of 0, 1, … hits."""

    def beta(x: int, y: int) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    logs = [
        math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1)
        + beta(k + a, rows - k + b) - beta(a, b)
        for k in range(rows + 1)
    ]  # fmt: skip
    return np.exp(np.array(logs))
