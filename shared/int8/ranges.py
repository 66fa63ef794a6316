"""Ranges as grids of 256 levels: unsigned with a zero point for activations, signed for weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAST = 255  # level of an activation, from 0
STEPS = 127  # of a weight, on either side of zero
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """Which values of an activation eight bits cover.

    Attributes:
        low: () or (C,) lower ends, one a channel.
        high: upper ends likewise.
    """

    low: Floats
    high: Floats

    def grid(self) -> tuple[Floats, NDArray[np.uint8]]:
        """Scale and zero point, () or (C,): level q is (q - zero point) * scale.

        Zero is always in the range and has a level of its own. A range of zeros has scale 1.
        """
        low, high = np.minimum(self.low, 0), np.maximum(self.high, 0)
        scale = ((high - low) / np.float32(LAST)).astype(np.float32)
        scale = np.where(scale > np.finfo(np.float32).tiny, scale, np.float32(1))
        zero = np.clip(np.round(-low / scale), 0, LAST)
        return np.asarray(scale), np.asarray(zero, np.uint8)


def round_weight(weight: Floats, axis: int = 0) -> Floats:
    """A weight on grids of -127 … 127 steps, each output channel by its largest magnitude.

    Args:
        weight: of any shape.
        axis: of the output channels.
    """
    others = tuple(place for place in range(weight.ndim) if place != axis % weight.ndim)
    scale = np.abs(weight).max(others, keepdims=True) / np.float32(STEPS)
    scale = np.where(scale > 0, scale, np.float32(1))
    rounded: Floats = (np.round(weight / scale) * scale).astype(np.float32)
    return rounded
