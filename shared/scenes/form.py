"""What a scene file says of itself, and the numbers of its mask. Written down once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from shared.scenes.grid import Grid

BLOCK = 256  # rows that are written at once, and sides of a chunk
PER_UNIT = 10_000  # stored number of reflectance 1
NO_DATA = 0  # in every band; reflectance itself is stored as 1 or more
LEVELS = ("L1C", "L2A", "simulated")
CLEAR, CLOUD, SHADOW, SNOW, CIRRUS, UNKNOWN = 0, 1, 2, 3, 4, 255
MASKS = {"clear": CLEAR, "cloud": CLOUD, "cloud shadow": SHADOW, "snow": SNOW, "cirrus": CIRRUS,
         "unknown": UNKNOWN}  # fmt: skip
HIDING = (CLOUD, SHADOW, CIRRUS)  # what the ground is not seen through


@dataclass(frozen=True)
class Header:
    """All that a scene file says beside its pixels.

    Attributes:
        grid: where its pixels lie.
        bands: C names, as So2Sat's.
        level: one of LEVELS.
        product: name of the product it was made from.
        date: when it was seen, ISO 8601; "" if unknown.
        source_offset: (C,) what was added to the digital numbers of each band.
        masked: whether the product says anything about clouds.
    """

    grid: Grid
    bands: tuple[str, ...] = lcz.SEN2.bands
    level: str = "L1C"
    product: str = ""
    date: str = ""
    source_offset: tuple[float, ...] = ()
    masked: bool = False


def encode(reflectance: NDArray[np.floating]) -> NDArray[np.uint16]:
    """(…, C) reflectance to stored numbers; NaN in any band becomes no data in all of them.

    What has data is at least 1 and at most 65,535: a dark pixel stays one that was seen.
    """
    missing = ~np.isfinite(reflectance).all(-1)
    whole = np.rint(np.nan_to_num(reflectance) * PER_UNIT).clip(1, 65535).astype(np.uint16)
    whole[missing] = NO_DATA
    return whole
