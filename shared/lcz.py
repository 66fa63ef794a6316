"""So2Sat LCZ42 as a preset: classes, bands, value ranges, colours. Written down once.

Sources: Zhu et al. 2020, "So2Sat LCZ42" (band order, value range); Stewart and Oke 2012, "Local
Climate Zones for Urban Temperature Studies" (classes); the WUDAPT colour key for the 17 zones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = (
    "01_CompactHighRise",
    "02_CompactMidRise",
    "03_CompactLowRise",
    "04_OpenHighRise",
    "05_OpenMidRise",
    "06_OpenLowRise",
    "07_LightweightLowRise",
    "08_LargeLowRise",
    "09_SparselyBuilt",
    "10_HeavyIndustry",
    "11_DenseTrees",
    "12_ScatteredTrees",
    "13_BushScrub",
    "14_LowPlants",
    "15_BareRockOrPaved",
    "16_BareSoilOrSand",
    "17_Water",
)

# One colour per class, in class order, as LCZ maps are drawn (WUDAPT).
COLOURS = (
    "#8c0000", "#d10000", "#ff0000", "#bf4d00", "#ff6600", "#ff9955", "#faee05", "#bcbcbc",
    "#ffccaa", "#555555", "#006a00", "#00aa00", "#648525", "#b9db79", "#000000", "#fbf7ae",
    "#6a6aff",
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What the last axis of an image dataset holds, and how its values are stored.

    Attributes:
        bands: one name per channel, in file order.
        low: value that scales to 0.
        high: value that scales to 255.
        per_unit: stored integer = value * per_unit; 1 for floating-point storage.
        clip: whether values outside low ... high are clipped by the scaling (SAR).
    """

    bands: tuple[str, ...]
    low: float
    high: float
    per_unit: float = 1.0
    clip: bool = False

    def decode(self, stored: NDArray[np.generic]) -> NDArray[np.float32]:
        """Stored numbers to physical values; a division, so that k / 10000 is correctly rounded."""
        values = stored.astype(np.float32)
        if self.per_unit != 1.0:
            values /= np.float32(self.per_unit)
        return values

    def encode(self, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.generic]:
        """Physical values to stored numbers of ``dtype``; integers are rounded."""
        whole = dtype.kind in "iu"
        stored = np.rint(values * self.per_unit) if whole else values
        limit: Any = np.iinfo(dtype.name) if whole else np.finfo(dtype.name)
        if stored.size and not limit.min <= stored.min() <= stored.max() <= limit.max:
            raise ValueError(f"{stored.min():g} … {stored.max():g} does not fit {dtype}")
        return stored.astype(dtype)

    def scale(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Physical values to 0 ... 255, the unit in which means, deviations and networks work."""
        if self.clip:
            values = np.clip(values, self.low, self.high)
        return (values - self.low) * (255.0 / (self.high - self.low))


SEN1 = Layout(
    ("VH_real", "VH_imag", "VV_real", "VV_imag", "VH", "VV", "COV_real", "COV_imag"),
    -0.5, 0.5, clip=True,
)  # fmt: skip
SEN2 = Layout(("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"), 0.0, 2.8, 1e4)
RGB = Layout(("B4", "B3", "B2"), 0.0, 255.0)

# Mean and deviation of SEN2's bands, as reflectance, over the training split of version 2 of So2Sat
# LCZ42, as torchgeo's data module prints them.
TRAINING_MEAN = (
    0.1238, 0.1093, 0.1011, 0.1142, 0.1593, 0.1815, 0.1746, 0.1950, 0.1543, 0.1091,
)  # fmt: skip
TRAINING_STD = (
    0.0396, 0.0478, 0.0664, 0.0636, 0.0774, 0.0910, 0.0922, 0.1016, 0.0999, 0.0878,
)  # fmt: skip

# Image datasets a patch file may hold, with the layout of a file that does not say its own.
PRESETS = {"sen1": SEN1, "sen2": SEN2, "rgb": RGB}

# Display order of a true-colour picture.
TRUE_COLOUR = ("B4", "B3", "B2")


def indices(bands: tuple[str, ...], names: tuple[str, ...]) -> tuple[int, ...]:
    """Zero-based positions of band names; ValueError when one is missing."""
    return tuple(bands.index(name) for name in names)
