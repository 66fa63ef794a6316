"""Which part of the values of a tensor eight bits shall cover: three ways to choose it.

All three read one histogram, so that one look at the calibration rows serves them all.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BINS = 2048  # of either sign
SHARE = 99.999  # per cent of all values, for `percentile`
STRIDE = 8  # bins from one range that `entropy` tries to the next


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How often values of one tensor occurred.

    Attributes:
        low: least value.
        high: largest value.
        counts: (2 * BINS,) of equal bins from -limit to limit.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def limit(self) -> float:
        """Largest magnitude."""
        return max(-self.low, self.high)


def count_values(values: NDArray[np.float32], limit: float) -> NDArray[np.int64]:
    """(2 * BINS,) counts of any number of values within -limit … limit, limit above 0."""
    place = (values.ravel() + np.float32(limit)) * np.float32(BINS / limit)
    return np.bincount(np.clip(place.astype(np.int32), 0, 2 * BINS - 1), minlength=2 * BINS)


def minmax(histogram: Histogram) -> tuple[float, float]:
    """All values."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram) -> tuple[float, float]:
    """All but the rarest values, half of them at either end."""
    if not histogram.limit:
        return histogram.low, histogram.high
    total, rest = np.cumsum(histogram.counts), (1 - SHARE / 100) / 2 * histogram.counts.sum()
    first = int(np.searchsorted(total, rest, "right"))
    last = int(np.searchsorted(total, total[-1] - rest))
    edges = np.linspace(-histogram.limit, histogram.limit, 2 * BINS + 1)
    return max(histogram.low, float(edges[first])), min(histogram.high, float(edges[last + 1]))


def entropy(histogram: Histogram) -> tuple[float, float]:
    """The range whose eight-bit form tells most of the distribution: least KL divergence.

    Of magnitudes, as in Migacz 2017, "8-bit inference with TensorRT", where those beyond the range
    count at its end. Zero has a level of its own in every range, so that how often it occurs, half
    of all values after a ReLU, says nothing and is left out.
    """
    if not histogram.limit:
        return histogram.low, histogram.high
    magnitudes = histogram.counts[BINS:] + histogram.counts[BINS - 1 :: -1]
    magnitudes[0] = magnitudes[1]
    levels = 256 if histogram.low >= 0 else 128
    tried = range(levels, BINS + 1, STRIDE)
    best = min(tried, key=lambda kept: (divergence(magnitudes, kept, levels), -kept))
    reach = best / BINS * histogram.limit
    return max(histogram.low, -reach), min(histogram.high, reach)


def divergence(counts: NDArray[np.int64], kept: int, levels: int) -> float:
    """KL divergence between the first bins, what is beyond added to the last, and so many levels.

    Args:
        counts: (B,) of magnitudes.
        kept: bins that the range covers, at least `levels`.
        levels: what they become; a level spreads over the bins of it that are not empty.
    """
    inside, filled = counts[:kept], counts[:kept] > 0
    starts = np.arange(levels) * kept // levels
    widths = np.diff(np.append(starts, kept))
    full = np.maximum(np.add.reduceat(filled, starts, dtype=np.int64), 1)
    level = np.repeat(np.add.reduceat(inside, starts) / full, widths)
    whole = inside.astype(np.float64)
    whole[-1] += counts[kept:].sum()
    seen = whole > 0
    if not seen.any() or not level[seen].any():
        return 0.0
    one, other = whole[seen] / whole.sum(), level[seen] / level[seen].sum()
    return float((one * np.log(one / np.maximum(other, 1e-9))).sum())


METHODS: dict[str, Callable[[Histogram], tuple[float, float]]] = {
    "percentile": percentile, "entropy": entropy, "minmax": minmax,
}  # fmt: skip
