"""What is remembered of an activation, row by row, for its range by any scheme."""

import numpy as np

from shared.int8.histogram import Floats, Histogram, histogram_of
from shared.int8.range_search import search_range
from shared.int8.ranges import Range
from shared.int8.schemes import HYBRID, MIN_MAX, Scheme


class TensorObserver:
    """A histogram of all values and, for inputs of depthwise convolutions, the ends per channel.

    Args:
        depthwise: whether a depthwise convolution reads the tensor.

    Attributes:
        histogram: of all finite values; None before the first.
    """

    def __init__(self, *, depthwise: bool) -> None:
        self.histogram: Histogram | None = None
        self._depthwise = depthwise
        self._channels: tuple[Floats, Floats] | None = None

    def observe(self, values: Floats) -> None:
        """Add (N, C, …) values. What a histogram holds depends on the order of such pieces."""
        flat = values.reshape(-1)
        if not np.isfinite(flat.sum(dtype=np.float64)):
            flat = flat[np.isfinite(flat)]
        if flat.size:
            old = self.histogram
            self.histogram = old.with_values(flat) if old else histogram_of(flat)
        if self._depthwise:
            apart = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
            low, high = apart.min(1), apart.max(1)
            if self._channels:
                low, high = np.fmin(self._channels[0], low), np.fmax(self._channels[1], high)
            self._channels = low, high

    def choose(self, scheme: Scheme) -> Range:
        """The range by a scheme, for a depthwise convolution where one reads the tensor.

        Nothing but zero where nothing was seen.
        """
        if scheme == HYBRID and self._channels:
            return Range(*self._channels)
        return self.choose_per_tensor(scheme)

    def choose_per_tensor(self, scheme: Scheme) -> Range:
        """The one range by a scheme, for all that is no depthwise convolution."""
        seen = self.histogram
        if not seen:
            ends = 0.0, 0.0
        elif scheme == MIN_MAX:
            ends = float(seen.low), float(seen.high)
        else:
            ends = search_range(seen)
        low, high = (np.array(end, np.float32) for end in ends)
        return Range(low, high)
