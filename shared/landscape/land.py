"""Land of several zones on one square: regions with bent borders, water, roads."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shared.landscape.ground import lay_out
from shared.landscape.materials import CODE, City
from shared.landscape.texture import noise
from shared.landscape.zones import ZONES, Zone

# Zones (0 to 16) of which each picture has some: built up, wooded, open.
KINDS = ((2, 4, 5, 7, 8), (10, 11), (8, 12, 13, 15))
LANE = 3.5  # metres, the narrowest road
REGION = 220.0  # metres, about the size of a region
LAKE, RIVER = 0.5, 0.6  # how many pictures have one

Cells = NDArray[np.bool_]


@dataclass(frozen=True)
class Land:
    """What covers a square, all (cells, cells).

    Attributes:
        material: code of materials.NAMES.
        height: metres above the ground.
        bright: factor on reflectance.
        wall: whether the cell belongs to a building.
        street: whether it belongs to a road, be it under a crown.
    """

    material: NDArray[np.uint8]
    height: NDArray[np.float64]
    bright: NDArray[np.float64]
    wall: Cells
    street: Cells

    def lay(self, where: Cells, material: str, *, street: bool) -> None:
        """Put a flat material there, in place of all that was."""
        self.material[where] = CODE[material]
        self.height[where], self.bright[where] = 0.0, 1.0
        self.wall[where], self.street[where] = False, street


def draw_land(city: City, rng: np.random.Generator, cells: int, cell: float) -> Land:
    """A square of land.

    Args:
        city: materials and habits.
        rng: decides all the rest.
        cells: side in cells.
        cell: side of a cell in metres.
    """
    shape = (cells, cells)
    land = Land(
        np.zeros(shape, np.uint8), np.zeros(shape), np.ones(shape),
        np.zeros(shape, bool), np.zeros(shape, bool),
    )  # fmt: skip
    zones = [_choose(kind, rng) for kind in KINDS]
    owner = np.stack([noise(rng, REGION, cells, cell) for _ in zones]).argmax(0)
    water = _flood(rng, cells, cell)
    road = np.zeros(shape, bool)
    for _ in range(int(rng.integers(1, 3))):
        road |= cross(rng, cells, cell, rng.uniform(6, 11))
    for number, zone in enumerate(zones):
        ground, street = lay_out(zone, city, rng, cells, cell)
        here = owner == number
        land.material[here], land.height[here] = ground.material[here], ground.height[here]
        land.bright[here], land.street[here] = ground.bright[here], street[here]
        land.wall[here] = ground.wall[here]
        land.lay(find_cut(ground.wall, here & ~water & ~road) & here, "grass", street=False)
    land.lay(water, "water", street=False)
    land.lay(road, "asphalt", street=True)
    return land


def _choose(kind: tuple[int, ...], rng: np.random.Generator) -> Zone:
    """A recipe whose streets, if it has any, are as wide as a lane."""
    zone = ZONES[int(rng.choice(kind))]
    low, high = zone.street
    return dataclasses.replace(zone, street=(max(low, LANE), max(high, LANE))) if high else zone


def find_cut(wall: Cells, inside: Cells) -> Cells:
    """(cells, cells) all cells of buildings that lie not wholly inside: no house ends in a river.

    Args:
        wall: (cells, cells) whether there is a building; those that touch are one.
        inside: (cells, cells) where buildings may be.
    """
    labels, _ = ndimage.label(wall)
    cut: Cells = wall & np.isin(labels, np.unique(labels[wall & ~inside]))
    return cut


def _flood(rng: np.random.Generator, cells: int, cell: float) -> Cells:
    """(cells, cells) a lake, a river, both or none."""
    water = np.zeros((cells, cells), bool)
    if rng.random() < LAKE:
        water |= noise(rng, 180, cells, cell) > rng.uniform(0.9, 1.4)
    if rng.random() < RIVER:
        water |= cross(rng, cells, cell, rng.uniform(12, 40))
    return water


def cross(rng: np.random.Generator, cells: int, cell: float, width: float) -> Cells:
    """(cells, cells) a bent band of `width` metres from one side to another."""
    way = rng.uniform(0, np.pi)
    x = (np.arange(cells) - cells / 2) * cell
    across = np.cos(way) * x + np.sin(way) * x[:, None]
    across += 20 * noise(rng, 300, cells, cell) + rng.uniform(-0.3, 0.3) * cells * cell
    down, along = np.gradient(across, cell)
    band: Cells = np.abs(across) < width / 2 * np.hypot(down, along)
    return band
