"""INT8 as the documents of the Voyager SDK describe it: schemes, and ranges of activations.

Needs numpy only.
"""

from shared.int8.histogram import Histogram
from shared.int8.observer import TensorObserver
from shared.int8.range_search import search_range
from shared.int8.ranges import Range, round_weight
from shared.int8.schemes import HISTOGRAM, HYBRID, MIN_MAX, SCHEMES, Scheme

__all__ = [
    "HISTOGRAM", "HYBRID", "MIN_MAX", "SCHEMES", "Histogram", "Range", "Scheme", "TensorObserver",
    "round_weight", "search_range",
]  # fmt: skip
