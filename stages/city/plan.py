"""Plan of a city: districts of one zone each, with bent borders and streets between them.

Districts are the Voronoi cells of a jittered lattice. Everything is a function of the place, so any
window can be drawn alone.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.landscape import CELL, ZONES

SPLIT = 2  # of the random numbers: 0 and 1 are the training and testing cities of demo
JITTER = 0.2  # of a centre, in lattice steps
BEND = 0.08  # of a border, in lattice steps
# A place lies within this many steps of the centre of its district, on each axis.
REACH = 1.1
PER_PIXEL = int(10 / CELL)
BUILT = 10  # zones 1 to 10
STREETS = (0.0, 5.0, 8.0)  # half their width in metres, by how many of the two sides are built up
WAVES = 6

Cells = NDArray[np.intp]


@dataclass(frozen=True)
class Plan:
    """Where the districts of a city lie.

    Attributes:
        seed: as of `demo`.
        number: of the city.
        size: rows and columns of the scene in pixels.
        step: of the lattice, in pixels.
    """

    seed: int
    number: int
    size: int
    step: int

    def chance(self, *key: int) -> np.random.Generator:
        """Random numbers that depend on nothing but the city and this key."""
        return np.random.default_rng((self.seed, SPLIT, self.number, *(part + 64 for part in key)))

    @functools.cached_property
    def across(self) -> int:
        """Districts along one side of the scene."""
        return -(-self.size // self.step)

    def zone(self, district: tuple[int, int]) -> int:
        """Zone 0 to 16: of every seventeen districts in row order, each has another one."""
        i, j = (min(max(part, 0), self.across - 1) for part in district)
        group, place = divmod(i * self.across + j, len(ZONES))
        return int(self.chance(group, 0xDEA).permutation(len(ZONES))[place])

    def centre(self, district: tuple[int, int]) -> NDArray[np.float64]:
        """Row and column in cells of 2.5 m."""
        shift = self.chance(*district, 0x0CE).uniform(-JITTER, JITTER, 2)
        return (np.array(district) + 0.5 + shift) * self.step * PER_PIXEL

    @functools.cached_property
    def _waves(self) -> NDArray[np.float64]:
        """(2, WAVES, 4): row and column frequency, phase and height of each wave, per axis."""
        rng = self.chance(0x3A7E)
        length = self.step * PER_PIXEL * rng.uniform(0.4, 1.2, (2, WAVES))
        way = rng.uniform(0, 2 * np.pi, (2, WAVES))
        turn = 2 * np.pi / length
        height = np.full((2, WAVES), BEND * self.step * PER_PIXEL / WAVES)
        phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
        return np.stack([turn * np.cos(way), turn * np.sin(way), phase, height], -1)

    def bend(self, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float64]:
        """(2, H, W) row and column of each cell after its place was bent."""
        bent = np.stack(np.broadcast_arrays(rows[:, None], columns[None]))
        for axis in (0, 1):
            for down, along, phase, height in self._waves[axis]:
                bent[axis] += height * np.sin(down * rows[:, None] + along * columns + phase)
        return bent

    def divide(self, top: int, left: int, side: int) -> tuple[list[tuple[int, int]], Cells, Cells]:
        """The districts of a square window, in cells of 2.5 m.

        Args:
            top, left: its first cell; may be negative.
            side: cells.

        Returns:
            districts that may be there; (side, side) which of them is nearest to each cell, and
            the second nearest, -1 where that is far away.
        """
        step, reach = self.step * PER_PIXEL, REACH * self.step * PER_PIXEL
        spans = [
            range(int((first - reach) // step) - 1, int((first + side + reach) // step) + 2)
            for first in (top, left)
        ]
        districts = [(i, j) for i in spans[0] for j in spans[1]]
        bent = self.bend(np.arange(top, top + side) + 0.5, np.arange(left, left + side) + 0.5)
        near = np.full((2, side, side), np.inf)
        owner = np.full((2, side, side), -1, np.intp)
        for number, district in enumerate(districts):
            centre = self.centre(district)
            low = np.clip(np.floor(centre - reach) - (top, left), 0, side).astype(int)
            high = np.clip(np.ceil(centre + reach) - (top, left), 0, side).astype(int)
            inside = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
            offset = bent[inside] - centre[:, None, None]
            _insert(near[inside], owner[inside], (offset**2).sum(0), number)
        return districts, owner[0], self._streets(districts, near, owner)

    def _streets(
        self, districts: list[tuple[int, int]], near: NDArray[np.float64], owner: Cells
    ) -> Cells:
        """(H, W) whether a cell lies on a street between two districts."""
        centres = np.array([self.centre(district) for district in districts])
        built = np.array([self.zone(district) < BUILT for district in districts])
        apart = np.linalg.norm(centres[:, None] - centres, axis=-1)[owner[0], owner[1]]
        far = (near[1] - near[0]) / (2 * np.maximum(apart, 1e-9)) * CELL
        half = np.array(STREETS)[built[owner[0]].astype(int) + built[owner[1]]]
        return (owner[1] >= 0) & (far < half)


def _insert(near: NDArray[np.float64], owner: Cells, far: NDArray[np.float64], number: int) -> None:
    """Keep the two nearest of each cell."""
    first, second = far < near[0], far < near[1]
    near[1] = np.where(first, near[0], np.where(second, far, near[1]))
    owner[1] = np.where(first, owner[0], np.where(second, number, owner[1]))
    near[0], owner[0] = np.where(first, far, near[0]), np.where(first, number, owner[0])
