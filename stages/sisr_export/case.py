"""What all checks share: the network, the land that it is tried on, and how a result is told."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared.sisr_client import Network
from stages.sisr_export import land
from stages.sisr_export.settings import Limits

TILE = 40  # input pixels of the smaller of the tiles that are compared, or more on a grid
MORE = (24, 12)  # input pixels of the land beyond such a tile, without the margin around it
Image = NDArray[np.float32]  # (C, h, w) digital numbers


@dataclass(frozen=True)
class Result:
    """One check.

    Attributes:
        name: of the check.
        passed: whether the value is within the limit.
        value: what was measured.
        limit: the largest value that passes.
        unit: of both.
        said: one sentence for people, with the numbers.
    """

    name: str
    passed: bool
    value: float
    limit: float
    unit: str
    said: str


class Case:
    """A network and land for it, large enough for its margin.

    Attributes:
        network: as the client runs it.
        limits: of the checks.
        land: (C, h, w) digital numbers.
        seed: of the land.
    """

    def __init__(self, network: Network, limits: Limits, seed: int) -> None:
        self.network, self.limits, self.seed = network, limits, seed
        height, width = (side + 2 * self.margin_low for side in self.middle)
        self.land = land.draw((height, width), self.bands, seed)

    @property
    def bands(self) -> tuple[str, ...]:
        """In the order of the channels."""
        return self.network.description.bands

    @property
    def tile(self) -> int:
        """Input pixels of the smaller tile."""
        return self.align(TILE)

    @property
    def middle(self) -> tuple[int, int]:
        """Input pixels of the land without its margin; the client's top tiles begin on the grid."""
        return self.align(self.tile + MORE[0]), self.tile + MORE[1]

    def align(self, pixels: int) -> int:
        """The next number of input pixels that lies on the grid of the network."""
        return -(-pixels // self.network.grid) * self.network.grid

    @property
    def factor(self) -> int:
        """Output pixels along one of the input."""
        return self.network.description.factor

    @property
    def margin(self) -> int:
        """Output pixels, a multiple of the factor."""
        return self.network.description.whole_margin

    @property
    def margin_low(self) -> int:
        """The margin in input pixels."""
        return self.margin // self.factor

    @cached_property
    def whole(self) -> Image:
        """(C, H, W) what the network makes of all the land at once."""
        return self.network.run(self.land)


def compare(one: NDArray[np.generic], other: NDArray[np.generic]) -> tuple[float, float]:
    """Largest difference of two images, and the share of values that differ; NaN equals NaN.

    A value that is NaN in one image alone differs by infinity.
    """
    first, second = (image.astype(np.float64) for image in (one, other))
    gone, missing = np.isnan(first), np.isnan(second)
    apart = np.abs(np.where(gone, 0, first) - np.where(missing, 0, second))
    apart[gone ^ missing] = np.inf
    return float(apart.max(initial=0)), float((apart > 0).mean()) if apart.size else 0.0
