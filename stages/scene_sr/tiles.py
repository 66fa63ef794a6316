"""The tiles of a region, and what becomes of each one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.resampling import cubic
from shared.sisr_client import NODATA, Description, Window, saturate, tiling

RING = 2  # input pixels that a cubic looks to each side
Pixels = NDArray[np.float32]
Resolve = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Layout:
    """Tiles of one size that cover a region; the last ones of a row or column are cut off.

    Attributes:
        region: input pixels of the product.
        factor: output pixels along one of the input.
        margin: output pixels around a tile, a multiple of the factor.
        side: (rows, columns) output pixels of a tile, multiples of the factor.
        grid: input pixels of the product at whose multiples what the network gets must begin.
    """

    region: Window
    factor: int
    margin: int
    side: tuple[int, int]
    grid: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return self.region.height * self.factor, self.region.width * self.factor

    @property
    def ring(self) -> int:
        """Input pixels of the margin."""
        return self.margin // self.factor

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles down and across."""
        down, across = (-(-n // side) for n, side in zip(self.shape, self.side, strict=True))
        return down, across

    def target(self, number: int) -> Window:
        """Output pixels of the region that a tile makes; tiles count row by row."""
        row, column = divmod(number, self.counts[1])
        top, left = row * self.side[0], column * self.side[1]
        high, wide = min(self.side[0], self.shape[0] - top), min(self.side[1], self.shape[1] - left)
        return Window(top, left, high, wide)

    def source(self, number: int, ring: int = 0) -> Window:
        """Input pixels of the product under a tile, its margin and what leads up to it.

        Args:
            number: of the tile.
            ring: input pixels around that.
        """
        near, (down, right) = self._near(number), self.lead(number)
        wide = Window(near.row - down, near.column - right, near.height + down, near.width + right)
        return wide.grow(ring)

    def lead(self, number: int) -> tuple[int, int]:
        """Rows and columns before a tile and its margin that the network gets for its grid."""
        near = self._near(number)
        return near.row % self.grid, near.column % self.grid

    def _near(self, number: int) -> Window:
        near = tiling.find_source(self.target(number), self.margin, self.factor)
        return Window(
            near.row + self.region.row, near.column + self.region.column, near.height, near.width
        )


def lay_out(region: Window, description: Description, side: int, grid: int = 1) -> Layout:
    """Equal tiles of about this side, none larger."""
    factor = description.factor
    sides = []
    for length in (region.height, region.width):
        most = max(1, side // factor)
        count = -(-length // most)
        sides.append(-(-length // count) * factor)
    return Layout(region, factor, description.whole_margin, (sides[0], sides[1]), grid)


def resolve_tile(
    pixels: Pixels, layout: Layout, number: int, resolve: Resolve
) -> NDArray[np.int16]:
    """What is stored of a tile.

    Args:
        pixels: (C, h, w) digital numbers of `Layout.source`, NaN where there is no data.
        layout: of the tiles.
        number: of the tile.
        resolve: (C, h, w) to (C, factor * h, factor * w).

    Returns:
        (C, H, W) rounded and saturated; nodata where the network gives NaN, and in the place of
        each input pixel that lacks a band, whatever the network gives there.
    """
    target, ring, (down, right) = layout.target(number), layout.ring, layout.lead(number)
    core = pixels[:, down + ring : pixels.shape[1] - ring, right + ring : pixels.shape[2] - ring]
    missing = np.asarray(np.isnan(core).any(0))
    if missing.all():
        return np.full((len(pixels), target.height, target.width), NODATA, np.int16)
    top, left = (layout.margin + layout.factor * more for more in (down, right))
    inside = Window(top, left, target.height, target.width)
    stored = saturate(resolve(pixels)[:, inside.rows, inside.columns])
    return _hide(stored, missing, layout.factor)


def enlarge_tile(pixels: Pixels, factor: int) -> NDArray[np.int16]:
    """The same by a cubic.

    Args:
        pixels: (C, h, w) under the tile, with two pixels around it.
        factor: output pixels along one of the input.
    """
    missing = np.asarray(np.isnan(pixels[:, RING:-RING, RING:-RING]).any(0))
    stored = saturate(np.stack([cubic.enlarge(band, factor) for band in pixels]))
    return _hide(stored, missing, factor)


def _hide(stored: NDArray[np.int16], missing: NDArray[np.bool_], factor: int) -> NDArray[np.int16]:
    if missing.any():
        stored[:, np.repeat(np.repeat(missing, factor, 0), factor, 1)] = NODATA
    return stored
