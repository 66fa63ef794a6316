"""Land on a grid of 2.5 m: what covers each cell, how high it is, how bright."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from shared.landscape.materials import CODE, City
from shared.landscape.texture import CELL, CELLS, Grid, choose, mosaic, noise, weights
from shared.landscape.zones import ZONES, Range, Zone

TABLE = 128  # random numbers per parcel repeat after so many parcels: further than a patch reaches


@dataclass(frozen=True)
class Ground:
    """Cover of a square of land, all (cells, cells).

    Attributes:
        material: code of materials.NAMES.
        height: metres above the ground.
        bright: factor on reflectance.
        wall: whether the cell belongs to a building.
    """

    material: NDArray[np.intp]
    height: Grid
    bright: Grid
    wall: NDArray[np.bool_]


def cover_patch(number: int, city: City, rng: np.random.Generator) -> Ground:
    """A patch of zone `number` (0 to 16), into half of which a neighbouring zone reaches."""
    main = cover(ZONES[number], city, rng)
    if rng.random() < 0.5:
        return main
    other = cover(ZONES[rng.choice(ZONES[number].nearby) - 1], city, rng)
    x = np.arange(CELLS) / CELLS - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    distance = np.cos(direction) * x + np.sin(direction) * x[:, None] + 0.06 * noise(rng, 80)
    inside = distance < rng.uniform(0.05, 0.45)
    return Ground(
        np.where(inside, main.material, other.material),
        np.where(inside, main.height, other.height),
        np.where(inside, main.bright, other.bright),
        np.where(inside, main.wall, other.wall),
    )


def cover(zone: Zone, city: City, rng: np.random.Generator, cells: int = CELLS) -> Ground:
    """A square all of one zone, as `lay_out` draws it, on cells of 2.5 m."""
    return lay_out(zone, city, rng, cells)[0]


def lay_out(
    zone: Zone, city: City, rng: np.random.Generator, cells: int = CELLS, cell: float = CELL
) -> tuple[Ground, NDArray[np.bool_]]:
    """A square all of one zone: ground, then streets and buildings, then crowns.

    Args:
        zone: the recipe; its ranges are drawn from once.
        city: its habits.
        rng: decides all the rest.
        cells: side of the square in cells.
        cell: side of a cell in metres.

    Returns:
        what covers it; (cells, cells) where its streets are, under crowns as well.
    """
    smooth = functools.partial(noise, rng, cells=cells, cell=cell)
    lot = _Lots(zone, city, rng, cells, cell)
    share = weights(zone.ground, city, rng, 12)
    grain = _in(zone.grain, rng)
    material = (
        choose(lot.random[..., 5], share) if zone.fields else mosaic(share, grain, rng, cells, cell)
    )
    bright = np.exp(0.08 * smooth(12) + 0.07 * smooth(60))
    if zone.fields:
        bright *= np.exp(0.12 * (lot.random[..., 6] - 0.5))
    paved = "soil" if "soil" in zone.ground and "asphalt" not in zone.ground else "asphalt"
    material = np.where(lot.street, CODE[paved], material)
    crowns = smooth(_in(zone.crown, rng)) * 0.8 + smooth(70) * 0.6
    tree = (ndtr(crowns) < _in(zone.trees, rng)) & (~lot.street | (lot.random[..., 5] < 0.3))
    kind = CODE["conifer" if rng.random() < 0.25 else "tree"]
    material = np.where(tree, kind, material)
    height = np.where(tree, np.mean(zone.crown) * np.exp(0.3 * smooth(8)), 0.0)
    roof = choose(lot.random[..., 4], weights(zone.roofs, city, rng, 6))
    ground = Ground(
        np.where(lot.building, roof, material),
        np.where(lot.building, lot.height, height),
        np.where(lot.building, 0.75 + 0.5 * lot.random[..., 6], bright),
        lot.building,
    )
    return ground, lot.street


def _in(span: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*span))


class _Lots:
    """Streets, parcels and buildings in rotated, gently bent street coordinates."""

    def __init__(
        self, zone: Zone, city: City, rng: np.random.Generator, cells: int, cell: float
    ) -> None:
        width = _in(zone.parcel, rng) * city.size
        depth, street = width * _in(zone.depth, rng), _in(zone.street, rng)
        along, across = self._axes(city, rng, cells, cell)
        u, lot_u, edge_u, road_u = _axis(along, width, zone.block[0], street)
        v, lot_v, edge_v, road_v = _axis(across, depth, zone.block[1], street)
        table = TABLE * int(-(-cells * cell // (CELLS * CELL)))
        self.random = rng.random((table, table, 7))[lot_u % table, lot_v % table]
        self.street = road_u | road_v
        chance = self.random
        side, slab = _in(zone.cover, rng), _in(zone.slab, rng)
        long = np.clip(side * (0.85 + 0.3 * chance[..., 0]), 0, 1) / 2
        short = long * (slab + (1 - slab) * chance[..., 1] ** 2)
        turned = chance[..., 2] < 0.4
        free = 0.5 - long
        du = np.abs(u - 0.5 - free * (chance[..., 0] - 0.5))
        dv = np.abs(v - 0.5 - free * (chance[..., 1] - 0.5))
        square = (du < np.where(turned, short, long)) & (dv < np.where(turned, long, short))
        tank = chance[..., 5] < zone.tanks
        shape = np.where(tank, du**2 + dv**2 < (0.8 * long) ** 2, square)
        taken = chance[..., 3] < _in(zone.built, rng)
        if zone.courtyard:
            taken &= edge_u | edge_v
        self.building = shape & taken & ~self.street
        self.height = _in(zone.height, rng) * city.height * (0.6 + 0.8 * chance[..., 6])

    @staticmethod
    def _axes(city: City, rng: np.random.Generator, cells: int, cell: float) -> tuple[Grid, Grid]:
        angle = city.angle + rng.normal(0, 0.25)
        x = (np.arange(cells) - cells / 2) * cell
        cos, sin = np.cos(angle), np.sin(angle)
        bend = rng.uniform(0, 15)
        start = rng.uniform(1000, 2000, 2)
        along = start[0] + cos * x + sin * x[:, None] + bend * noise(rng, 200, cells, cell)
        across = start[1] - sin * x + cos * x[:, None] + bend * noise(rng, 200, cells, cell)
        return along, across


def _axis(
    at: Grid, size: float, count: int, street: float
) -> tuple[Grid, NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
    """Place in the parcel 0 … 1, parcel number, at the edge of its block?, on the street?"""
    block, inside = np.divmod(at, size * count + street)
    lot, place = np.divmod(inside / size, 1.0)
    edge = (lot == 0) | (lot == count - 1)
    return place, (block * count + lot).astype(np.intp), edge, inside >= size * count
