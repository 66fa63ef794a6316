"""The three quantisation schemes that the SDK documents.

``docs/reference/compiler/compiler-config-ref.md`` of the Voyager SDK: weights have one range per
output channel, by their least and largest value, in all of them. They differ in the observer of the
activations, each of which has one range: a histogram, or the least and largest value. The hybrid
one is the histogram's, but sees the inputs of depthwise convolutions channel by channel, by least
and largest value.
"""

from typing import Literal

Scheme = Literal["per_tensor_histogram", "per_tensor_min_max", "hybrid_per_tensor_per_channel"]
HISTOGRAM: Scheme = "per_tensor_histogram"
MIN_MAX: Scheme = "per_tensor_min_max"
HYBRID: Scheme = "hybrid_per_tensor_per_channel"
SCHEMES: tuple[Scheme, ...] = (HISTOGRAM, MIN_MAX, HYBRID)  # the first is the SDK's default
