"""Materials of the ground: reflectance in ten bands, backscatter, how a city shifts both."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Surface reflectance in B2 B3 B4 B5 B6 B7 B8 B8A B11 B12, then backscatter VV and VH in dB.
# Typical values of spectral libraries and of C-band backscatter over land, rounded.
TABLE: dict[str, tuple[float, ...]] = {
    "asphalt": (0.09, 0.10, 0.11, 0.12, 0.13, 0.13, 0.14, 0.14, 0.16, 0.15, -15, -24),
    "concrete": (0.19, 0.22, 0.25, 0.27, 0.28, 0.29, 0.30, 0.31, 0.33, 0.31, -10, -19),
    "tile": (0.08, 0.11, 0.18, 0.23, 0.26, 0.28, 0.30, 0.32, 0.37, 0.32, -9, -17),
    "bitumen": (0.06, 0.07, 0.07, 0.08, 0.08, 0.09, 0.09, 0.09, 0.11, 0.10, -10, -19),
    "membrane": (0.42, 0.46, 0.48, 0.49, 0.50, 0.50, 0.50, 0.50, 0.44, 0.38, -11, -21),
    "metal": (0.26, 0.28, 0.29, 0.30, 0.31, 0.31, 0.32, 0.32, 0.34, 0.31, -8, -18),
    "rust": (0.11, 0.14, 0.19, 0.22, 0.24, 0.26, 0.27, 0.29, 0.36, 0.34, -8, -17),
    "grass": (0.04, 0.07, 0.05, 0.10, 0.26, 0.32, 0.35, 0.37, 0.22, 0.12, -11, -18),
    "straw": (0.08, 0.11, 0.14, 0.18, 0.23, 0.25, 0.27, 0.29, 0.34, 0.26, -12, -20),
    "tree": (0.02, 0.04, 0.03, 0.07, 0.22, 0.28, 0.30, 0.32, 0.15, 0.07, -8, -14),
    "conifer": (0.02, 0.03, 0.02, 0.05, 0.13, 0.16, 0.18, 0.19, 0.09, 0.05, -8, -14),
    "bush": (0.04, 0.06, 0.06, 0.10, 0.18, 0.21, 0.23, 0.25, 0.21, 0.14, -10, -17),
    "crop": (0.04, 0.07, 0.04, 0.09, 0.29, 0.37, 0.40, 0.41, 0.19, 0.09, -11, -17),
    "soil": (0.09, 0.13, 0.18, 0.21, 0.23, 0.25, 0.27, 0.29, 0.36, 0.32, -12, -22),
    "sand": (0.19, 0.25, 0.31, 0.34, 0.36, 0.38, 0.39, 0.41, 0.47, 0.43, -15, -25),
    "rock": (0.13, 0.15, 0.18, 0.19, 0.20, 0.20, 0.21, 0.22, 0.26, 0.25, -9, -18),
    "water": (0.05, 0.05, 0.03, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.00, -20, -28),
}
NAMES = tuple(TABLE)
SURFACE = np.array([row[:10] for row in TABLE.values()])
BACKSCATTER_DB = np.array([row[10:] for row in TABLE.values()])
CODE = {name: code for code, name in enumerate(NAMES)}
GREEN = [CODE[name] for name in ("grass", "tree", "bush", "crop")]

# A clear atmosphere at the top: path reflectance and two-way transmittance per band.
PATH = np.array([0.072, 0.045, 0.028, 0.022, 0.016, 0.014, 0.011, 0.009, 0.003, 0.001])
TRANSMITTANCE = np.array([0.80, 0.84, 0.87, 0.89, 0.91, 0.92, 0.93, 0.94, 0.95, 0.94])


@dataclass(frozen=True)
class City:
    """What all patches of one city share.

    Attributes:
        surface: (materials, 10) surface reflectance.
        backscatter: (materials, 2) VV and VH power.
        path, transmittance: (10,) atmosphere.
        sun: azimuth and zenith in radians.
        look: +1 or -1, the side the radar looks from.
        angle: preferred street direction in radians.
        size: factor on the size of parcels.
        height: factor on heights.
        roofs: (materials,) factor on how common a roof or ground material is.
    """

    surface: NDArray[np.float64]
    backscatter: NDArray[np.float64]
    path: NDArray[np.float64]
    transmittance: NDArray[np.float64]
    sun: tuple[float, float]
    look: int
    angle: float
    size: float
    height: float
    roofs: NDArray[np.float64]


def draw_city(rng: np.random.Generator) -> City:
    """Draw a city: its materials, season, air, sun and habits of building."""
    count, bands = SURFACE.shape
    tilt = np.linspace(-0.5, 0.5, bands)
    shift = rng.normal(-0.15, 0.18, (count, 1)) + rng.normal(0, 0.24, (count, 1)) * tilt
    surface = SURFACE * np.exp(shift)
    dryness = rng.beta(1.2, 2.5)  # how far the green has turned to straw
    surface[GREEN] += 0.7 * dryness * (surface[CODE["straw"]] - surface[GREEN])
    surface[CODE["water"]] += rng.beta(1, 2) * (0.5 * surface[CODE["soil"]] * np.linspace(1, 0, 10))
    haze = rng.gamma(12, 1 / 12)
    decibel = BACKSCATTER_DB + rng.normal(0, 1.0) + rng.normal(0, 1.0, BACKSCATTER_DB.shape)
    return City(
        surface=surface,
        backscatter=10 ** (decibel / 10),
        path=PATH * haze,
        transmittance=TRANSMITTANCE ** (0.5 + 0.5 * haze),
        sun=(np.radians(rng.uniform(120, 200)), np.radians(rng.uniform(20, 60))),
        look=int(rng.choice((-1, 1))),
        angle=rng.uniform(0, np.pi / 2),
        size=float(np.exp(rng.normal(0, 0.15))),
        height=float(np.exp(rng.normal(0, 0.15))),
        roofs=np.exp(rng.normal(0, 0.8, count)),
    )
