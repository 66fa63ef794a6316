"""How the finer sensor differs in place and in brightness: smooth functions, known everywhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.float64]  # (..., 2) metres down and to the right of the patch's first corner

WAVES = 3
STEPS = 16  # of the fixed point; each at least halves the error: flows of up to 30 m bend little
SHIFT, FAULT = 0.35, 0.25  # shares of the largest flow; the rest are waves
LENGTHS = (250.0, 900.0)  # metres of a wave
WIDTHS = (60.0, 200.0)  # metres over which the ground moves along a fault
SPREAD = 0.1  # offset, as reflectance, per relative change of the gain


@dataclass(frozen=True)
class Waves:
    """A sum of cosines of unit height in all.

    Attributes:
        ways: (WAVES, 2) radians per metre.
        phases: (WAVES,).
        heights: (WAVES,) that sum to 1.
    """

    ways: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]

    def at(self, places: Places) -> NDArray[np.float64]:
        """(...) values from -1 to 1."""
        return np.cos(places @ self.ways.T + self.phases) @ self.heights


def draw_waves(rng: np.random.Generator) -> Waves:
    """Waves in random directions."""
    angle = rng.uniform(0, 2 * np.pi, WAVES)
    turn = 2 * np.pi / rng.uniform(*LENGTHS, WAVES)
    ways = turn[:, None] * np.stack([np.sin(angle), np.cos(angle)], -1)
    return Waves(ways, rng.uniform(0, 2 * np.pi, WAVES), rng.dirichlet(np.full(WAVES, 2.0)))


@dataclass(frozen=True)
class Warp:
    """Where the finer sensor shows what lies at a place of the coarser one.

    Attributes:
        shift: (2,) metres, everywhere.
        waves: one for each axis.
        sway: metres that they reach.
        fault: (2,) metres by which the ground far beyond a line has moved; far before the line, it
            has moved as much the other way.
        line: (2,) unit vector across it; how far it lies along that; its width, all in metres.
    """

    shift: NDArray[np.float64]
    waves: tuple[Waves, Waves]
    sway: float
    fault: NDArray[np.float64]
    line: tuple[NDArray[np.float64], float, float]

    def flow(self, places: Places) -> Places:
        """(..., 2) metres: the finer image at place + flow shows what the coarser does at place."""
        across, far, width = self.line
        beyond = np.tanh((places @ across - far) / width)[..., None]
        swayed = np.stack([waves.at(places) for waves in self.waves], -1)
        return self.shift + self.sway * swayed + beyond * self.fault

    def origin(self, places: Places) -> Places:
        """(..., 2) places p of the coarser image, such that p + flow(p) are these of the finer."""
        found = places
        for _ in range(STEPS):
            found = places - self.flow(found)
        return found


def draw_warp(rng: np.random.Generator, largest: float, metres: float) -> Warp:
    """A warp of a square.

    Args:
        rng: decides it.
        largest: metres that no flow exceeds.
        metres: side of the square.
    """
    turn = rng.uniform(0, 2 * np.pi, 3)
    unit = np.stack([np.sin(turn), np.cos(turn)], -1)
    shift = SHIFT * largest * np.sqrt(rng.random()) * unit[0]
    sway = (1 - SHIFT - FAULT) * largest / np.sqrt(2)  # of each axis
    far = float(unit[2] @ (metres * rng.uniform(0.2, 0.8, 2)))
    line = (unit[2], far, float(rng.uniform(*WIDTHS)))
    waves = (draw_waves(rng), draw_waves(rng))
    return Warp(shift, waves, sway, FAULT * largest * unit[1], line)


@dataclass(frozen=True)
class Radiometry:
    """How bright the finer sensor shows what the coarser one sees.

    Attributes:
        gains, offsets: (C,) of each band, before the waves.
        waves: of the gain, of the offset.
        strength: relative change of the gain that all may reach together.
    """

    gains: NDArray[np.float64]
    offsets: NDArray[np.float64]
    waves: tuple[Waves, Waves]
    strength: float

    def gain(self, places: Places) -> NDArray[np.float64]:
        """(..., C) factor on reflectance."""
        return 1 + self.strength / 2 * (self.gains + self.waves[0].at(places)[..., None])

    def offset(self, places: Places) -> NDArray[np.float64]:
        """(..., C) reflectance that is added."""
        change = self.offsets + self.waves[1].at(places)[..., None]
        return SPREAD * self.strength / 2 * change


def draw_radiometry(rng: np.random.Generator, strength: float, bands: int) -> Radiometry:
    """Differences of brightness for a patch."""
    gains, offsets = rng.uniform(-1, 1, (2, bands))
    return Radiometry(gains, offsets, (draw_waves(rng), draw_waves(rng)), strength)
