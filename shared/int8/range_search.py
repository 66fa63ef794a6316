"""Which part of a histogram eight bits shall cover, so that the squared error is least.

The search of torch's HistogramObserver (``_non_linear_param_search``): from the end where more
bins hold few values, by quantiles of 0.001 %, for as long as the error falls.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from shared.int8.histogram import BINS, Counts, Histogram

LEVELS = 256  # of eight bits
STEP = 1e-5  # share of all values that one step leaves out


@functools.cache
def _quantiles() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles that the search reaches from below and from above, after 0, 1, … of its steps."""
    steps = np.full(round(1 / STEP) + 2, STEP)
    return np.cumsum([0.0, *steps]), np.cumsum([1.0, *-steps])


def search_range(histogram: Histogram) -> tuple[float, float]:
    """Low and high end of the range, within those of the histogram."""
    first, last = _search_bins(histogram)
    low, wide = float(histogram.low), _bin_width(histogram)
    return low + wide * first, low + wide * (last + 1)


def _bin_width(histogram: Histogram) -> float:
    return (float(histogram.high) - float(histogram.low)) / BINS


def _search_bins(histogram: Histogram) -> tuple[int, int]:
    """First and last bin of the range."""
    below, above = _quantiles()
    running, total = np.cumsum(histogram.counts), float(histogram.counts.sum())
    lows = np.searchsorted(running, below * total, "left").tolist()
    highs = (np.searchsorted(running, above * total, "right") - 1).tolist()
    low_steps = high_steps = first = 0
    last, least = BINS - 1, np.inf
    while below[low_steps] < above[high_steps]:
        low = min(max(first, lows[low_steps + 1]), last)
        high = max(min(last, highs[high_steps + 1]), first)
        if low - first > last - high:
            low_steps, tried = low_steps + 1, (low, last)
        else:
            high_steps, tried = high_steps + 1, (first, high)
        if tried != (first, last):
            error = quantisation_error(histogram, *tried)
            if error > least:
                break
            least, (first, last) = error, tried
    return first, last


def quantisation_error(histogram: Histogram, first: int, last: int) -> float:
    """Squared error over all values, spread evenly in their bins, where bins first … last count.

    Args:
        histogram: of the values.
        first: first bin of the range.
        last: last bin of the range; values outside become its ends.
    """
    wide = _bin_width(histogram)
    level = wide * (last - first + 1) / LEVELS
    if level == 0.0:
        return 0.0
    begin = (np.arange(BINS) - first) * wide
    end = begin + wide
    begins, ends = (
        np.clip(np.floor_divide(place, level), 0, LEVELS - 1) for place in (begin, end)
    )  # levels that the two ends of a bin belong to
    error = _integrate(begin - (begins + 0.5) * level, level / 2)
    error = error + (ends - begins - 1) * _integrate(-level / 2, level / 2)
    error = error + _integrate(-level / 2, end - (ends + 0.5) * level)
    return float((error * histogram.counts).sum() / wide)


def _integrate(begin: Counts | float, end: Counts | float) -> Counts | float:
    """Integral of x² from begin to end."""
    return (end * end * end - begin * begin * begin) / 3
