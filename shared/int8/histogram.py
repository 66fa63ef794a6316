"""A histogram of values that come piece by piece: memory stays that of its bins.

The algorithm that torch documents as HistogramObserver (``torch.ao.quantization.observer``, 2.10):
2048 bins from the least to the largest value so far; where a piece goes beyond, the old counts are
spread over wider bins. Values are counted in their own precision, as torch does it; all else is in
double precision, where torch takes that of the values: in float32, rounding decides now and then
between two ranges that are alike.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 2048
FINE = 16  # parts of a bin whose counts move to other bins as one
Floats = NDArray[np.floating]
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """How often values of one tensor occurred.

    Attributes:
        low: least value.
        high: largest value.
        counts: (BINS,) of equal bins from low to high; not whole where bins became wider.
    """

    low: np.floating
    high: np.floating
    counts: Counts

    def with_values(self, values: Floats) -> "Histogram":
        """The histogram with (M,) finite values more."""
        low, high = min(self.low, values.min()), max(self.high, values.max())
        same = (low, high) == (self.low, self.high)
        kept = self.counts if same else self._spread(low, high)
        return Histogram(low, high, kept + count_values(values, low, high))

    def _spread(self, low: np.floating, high: np.floating) -> Counts:
        """(BINS,) the counts in the bins of a wider range."""
        if self.low == self.high:
            return count_values(np.array([self.low]), low, high) * self.counts.sum()
        ends, fine = np.linspace(self.low, self.high, BINS * FINE + 1, retstep=True, dtype=float)
        edges = np.linspace(low, high, BINS + 1, dtype=float)
        place = np.searchsorted(edges, ends[:-1] + fine / 2, "right") - 1
        shares = np.repeat(self.counts / FINE, FINE)
        return np.bincount(place.clip(0, BINS - 1), shares, BINS).astype(np.float64)


def histogram_of(values: Floats) -> Histogram:
    """Histogram of (M,) finite values, at least one."""
    low, high = values.min(), values.max()
    return Histogram(low, high, count_values(values, low, high))


def count_values(values: Floats, low: np.floating, high: np.floating) -> Counts:
    """(BINS,) how many of (M,) values within low … high lie in each of the equal bins.

    As ``torch.histc``: the last bin holds `high`; without any width it is taken as two wide.
    """
    kind = values.dtype.type
    if low == high:
        low, high = low - kind(1), high + kind(1)
    place = values - low
    place *= kind(BINS)
    place /= high - low
    counts = np.bincount(place.astype(np.int32), minlength=BINS)
    counts[BINS - 1] += counts[BINS:].sum()
    return counts[:BINS].astype(np.float64)
