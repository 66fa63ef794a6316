"""Tiles of a city: its districts drawn, joined, and seen by Sentinel-2."""

import functools

import numpy as np
from numpy.typing import NDArray

from shared import landscape
from stages.city.plan import PER_PIXEL, REACH, Plan

TILE = 128  # pixels
LATTICE = 64  # pixels of one square of noise: tiles are whole multiples of it
BLUR = 8  # pixels around a tile that its point spread reaches
SHADOW = 24  # pixels around those that throw shadows into them: none is longer than 240 m
KEPT = 96  # districts in memory, about 3 MB each


class City:
    """A city that is drawn tile by tile; every tile is the same whichever others are drawn."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.habits = landscape.draw_city(plan.chance(0xC17))
        self.haze = 1 + 0.06 * float(plan.chance(0x4A2E).standard_normal())
        self.district = functools.lru_cache(KEPT)(self._draw)

    def _draw(self, district: tuple[int, int]) -> landscape.Ground:
        """One district, on a square that holds all of it whatever its borders."""
        zone = landscape.ZONES[self.plan.zone(district)]
        rng = self.plan.chance(*district, 0xD15)
        made = landscape.cover(zone, self.habits, rng, 2 * self._half)
        return landscape.Ground(
            made.material.astype(np.uint8), made.height.astype(np.float32),
            made.bright.astype(np.float32), made.wall,
        )  # fmt: skip

    @functools.cached_property
    def _half(self) -> int:
        return int(np.ceil(REACH * self.plan.step * PER_PIXEL)) + 1

    def land(self, top: int, left: int, side: int) -> tuple[landscape.Ground, NDArray[np.uint8]]:
        """A square of land and its zones.

        Args:
            top, left: first cell of 2.5 m.
            side: cells.

        Returns:
            its cover; (side, side) zone of each cell, 1 to 17.
        """
        districts, owner, street = self.plan.divide(top, left, side)
        ground = landscape.Ground(
            np.zeros((side, side), np.intp), np.zeros((side, side)), np.ones((side, side)),
            np.zeros((side, side), bool),
        )  # fmt: skip
        zones = np.zeros((side, side), np.uint8)
        for number in np.unique(owner):
            district = districts[number]
            first = np.floor(self.plan.centre(district)).astype(int) - self._half - (top, left)
            rows, columns = np.nonzero(owner == number)
            there = (rows - first[0], columns - first[1])
            part = self.district(district)
            zones[rows, columns] = self.plan.zone(district) + 1
            ground.material[rows, columns] = part.material[there]
            ground.height[rows, columns] = part.height[there]
            ground.bright[rows, columns] = part.bright[there]
        ground.material[street] = landscape.CODE["asphalt"]
        ground.height[street], ground.bright[street] = 0.0, 1.0
        return ground, zones

    def noise(self, top: int, left: int, side: int) -> NDArray[np.float64]:
        """(side, side, 10) standard normal numbers; places are multiples of LATTICE."""
        rows, columns = (
            range(first // LATTICE, (first + side) // LATTICE) for first in (top, left)
        )
        square = (LATTICE, LATTICE, 10)
        parts = [[self.plan.chance(i, j, 0x5EE).standard_normal(square) for j in columns]
                 for i in rows]  # fmt: skip
        return np.concatenate([np.concatenate(line, 1) for line in parts])

    def tile(
        self, top: int, left: int, side: int = TILE
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """A tile of the scene.

        Args:
            top, left: its first pixel, multiples of LATTICE.
            side: pixels, a multiple of LATTICE.

        Returns:
            (side, side, 10) stored reflectance; (side, side) zone at the centre of each pixel.
        """
        around, seen = (BLUR + SHADOW) * PER_PIXEL, SHADOW * PER_PIXEL
        whole = side * PER_PIXEL + 2 * around
        ground, zones = self.land(top * PER_PIXEL - around, left * PER_PIXEL - around, whole)
        dark = landscape.shadow(ground.height, *self.habits.sun, reach=seen)
        inside = (slice(seen, -seen), slice(seen, -seen))
        near = landscape.Ground(
            ground.material[inside], ground.height[inside], ground.bright[inside],
            ground.wall[inside],
        )  # fmt: skip
        pixels = landscape.record(near, dark[inside], self.habits, side, BLUR)
        noise = self.noise(top, left, side)
        reflectance = landscape.add_air(pixels, self.habits, self.haze, noise)
        centre = slice(around + PER_PIXEL // 2, -around, PER_PIXEL)
        return np.rint(reflectance * 1e4).astype(np.uint16), zones[centre, centre]
