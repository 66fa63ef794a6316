"""What the graph around a network does, and where each check draws the line."""

from dataclasses import dataclass
from typing import Annotated

from shared import cli

PER_UNIT = 10_000  # digital numbers of reflectance 1
LEAST, MOST = -1_000, 32_767  # of the output: L1C reaches down to -1,000, int16 up to 32,767
# Input pixels: of the client's tiles, 500 wide at a factor of 2, four fifths would be margin.
MOST_MARGIN = 320
PRODUCT = 109_800  # metres of a side of a product of Sentinel-2
LOWEST, HIGHEST = -9_999.5, 1e6  # input outside these is no data, like NaN
# Digital numbers of the bands over Europe in summer, on average: levels of the land that is drawn.
LEVELS = {
    "B2": 570, "B3": 860, "B4": 850, "B5": 1280, "B6": 2250, "B7": 2580, "B8": 2670, "B8A": 2770,
    "B11": 1990, "B12": 1360,
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What a check lets pass.

    Attributes:
        unequal: largest share of values that may differ by one digital number where two ways of
            tiling must agree: sums of floating-point numbers depend on the size of a tile, and some
            lie next to a half.
        shift: input pixels by which the output may lie beside the input.
        fidelity: RMSE of the input and of the output at its resolution, as a share of the mean of
            the band.
        off_grid: of a network with windows, RMSE of a part that begins between windows and of the
            same part of the whole, as a share of the mean of the band.
    """

    unequal: Annotated[float, cli.between(0, 0.1)] = 0.001
    shift: Annotated[float, cli.between(0.01, 1)] = 0.1
    fidelity: Annotated[float, cli.between(0.01, 1)] = 0.25
    off_grid: Annotated[float, cli.between(0.001, 1)] = 0.05
