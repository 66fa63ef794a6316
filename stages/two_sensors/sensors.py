"""The same land as Sentinel-2 and as a sensor of 5 m see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared import lcz, sisr
from shared.sisr import venus
from stages.two_sensors.distortion import Places, Radiometry, Warp
from stages.two_sensors.ground import CELL, MARGIN

BANDS = lcz.SEN2.bands
FINE = 5.0  # metres of a pixel of the finer sensor
FLOOR, SHARE = 0.0008, 0.006  # noise: a deviation, and a part of the reflectance


@dataclass(frozen=True)
class Sensors:
    """What both sensors do to the land.

    Attributes:
        side: pixels of 10 m along a side of a patch.
        mtf: of the finer sensor at the Nyquist frequency of its pixels.
        noise: factor on the noise of both.
    """

    side: int
    mtf: float
    noise: float

    @property
    def metres(self) -> float:
        """Side of a patch."""
        return 10.0 * self.side

    def centres(self, metres: float) -> Places:
        """(n, n, 2) centres of pixels of this size."""
        place = (np.arange(round(self.metres / metres)) + 0.5) * metres
        return np.stack(np.meshgrid(place, place, indexing="ij"), -1)

    def see_coarse(
        self, land: NDArray[np.float64], column: str, rng: np.random.Generator
    ) -> NDArray[np.int16]:
        """(n, n, C) a column of Sentinel-2, such as b5b6b7b8a_20m, by the MTF of each band."""
        bands = sisr.venus.describe_columns((column,))
        count, step = round(self.metres / bands.metres), bands.metres / CELL
        seen = np.empty((count, count, len(bands.names)))
        for number, name in enumerate(bands.names):
            sigma = sisr.spread(sisr.SENTINEL2_MTF[name], step)
            weights = sisr.weigh(len(land), count, step, sigma, MARGIN)
            band = land[..., [BANDS.index(name)]]
            seen[..., number] = sisr.apply(band, weights, weights)[..., 0]
        return self.store(seen, rng)

    def see_fine(self, land: NDArray[np.float64], names: tuple[str, ...]) -> "Fine":
        """The land blurred as the finer sensor does, to be looked at anywhere."""
        sigma = sisr.spread(self.mtf, FINE / CELL)
        blurred = [
            ndimage.gaussian_filter(land[..., BANDS.index(name)], sigma, mode="nearest")
            for name in names
        ]
        return Fine([ndimage.spline_filter(band, mode="nearest") for band in blurred])

    def store(
        self, seen: NDArray[np.float64], rng: np.random.Generator | None
    ) -> NDArray[np.int16]:
        """Stored numbers with the noise of a sensor, or without."""
        if rng is not None:
            deviation = self.noise * (FLOOR + SHARE * np.abs(seen))
            seen = seen + deviation * rng.standard_normal(seen.shape)
        limit = np.iinfo(np.int16)
        return np.rint(seen * sisr.PER_UNIT).clip(limit.min, limit.max).astype(np.int16)


@dataclass(frozen=True)
class Fine:
    """Blurred land as coefficients of cubic splines, one field for each band."""

    splines: list[NDArray[np.float64]]

    def at(self, places: Places) -> NDArray[np.float64]:
        """(..., C) reflectance at places of a patch."""
        cells = np.moveaxis(places / CELL + MARGIN - 0.5, -1, 0)
        return np.stack(
            [
                ndimage.map_coordinates(spline, cells, mode="nearest", prefilter=False)
                for spline in self.splines
            ],
            -1,
        )


def observe(
    land: NDArray[np.float64],
    sensors: Sensors,
    warp: Warp,
    radiometry: Radiometry,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.generic]]:
    """All columns of a patch: what both sensors record, and the truth.

    Args:
        land: (cells, cells, 10) surface reflectance with its margin.
        sensors: both.
        warp: of the finer one.
        radiometry: of its eight bands.
        rng: decides the noise.
    """
    columns = ("b2b3b4b8_10m", "b5b6b7b8a_20m", "b11b12_20m")
    made: dict[str, NDArray[np.generic]] = {
        column: sensors.see_coarse(land, column, rng) for column in columns
    }
    centres = sensors.centres(FINE)
    true = sensors.see_fine(land, venus.FINE + venus.GROUPS["b11b12"])
    seen = Fine(true.splines[: len(venus.FINE)]).at(warp.origin(centres))
    seen = radiometry.gain(centres) * seen + radiometry.offset(centres)
    fine, truth = sensors.store(seen, rng), sensors.store(true.at(centres), None)
    for group, names in venus.GROUPS.items():
        places = [(venus.FINE + venus.GROUPS["b11b12"]).index(name) for name in names]
        made[f"truth_{group}_05m"] = truth[..., places]
        if set(names) <= set(venus.FINE):
            made[f"{group}_05m"] = fine[..., places]
    for metres in (10, 20):
        grid = sensors.centres(float(metres))
        made[f"flow_{metres}m"] = warp.flow(grid).astype(np.float32)
        made[f"gain_{metres}m"] = radiometry.gain(grid).astype(np.float32)
        made[f"offset_{metres}m"] = radiometry.offset(grid).astype(np.float32)
    return made
