"""Which parts of an image the client gives to a network, and which parts of the output it keeps.

Rows and columns count from the upper left, down and to the right. All in whole pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels; it may reach beyond the image that it is of."""

    row: int
    column: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """As an index of an image that holds it."""
        return slice(self.row, self.row + self.height)

    @property
    def columns(self) -> slice:
        """As `rows`."""
        return slice(self.column, self.column + self.width)

    def grow(self, pixels: int) -> "Window":
        """Larger by so many pixels on each side; smaller by negative ones, but never below 0."""
        height, width = max(0, self.height + 2 * pixels), max(0, self.width + 2 * pixels)
        return Window(self.row - pixels, self.column - pixels, height, width)

    def clip(self, other: "Window") -> "Window":
        """The part that lies in another; without height or width where there is none."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        end = min(self.row + self.height, other.row + other.height)
        right = min(self.column + self.width, other.column + other.width)
        return Window(row, column, max(0, end - row), max(0, right - column))

    def scale(self, factor: int) -> "Window":
        """The same land in pixels `factor` times as small."""
        return Window(*(factor * n for n in (self.row, self.column, self.height, self.width)))

    def shrink(self, factor: int) -> "Window":
        """The same land in pixels `factor` times as large.

        Raises:
            ValueError: it begins or ends between two of them.
        """
        numbers = (self.row, self.column, self.height, self.width)
        if any(n % factor for n in numbers):
            raise ValueError(f"expected multiples of {factor}, found {numbers}")
        return Window(*(n // factor for n in numbers))


def limit(region: Window, size: tuple[int, int], margin: int, factor: int) -> Window:
    """The part of a region that the client makes: none within `margin` of the product's border.

    Args:
        region: output pixels of the product.
        size: (h, w) input pixels of the product.
        margin: output pixels.
        factor: output pixels along one of the input.
    """
    product = Window(0, 0, factor * size[0], factor * size[1])
    return region.clip(product.grow(-margin))


def list_tiles(region: Window, side: int) -> Iterator[Window]:
    """The tiles of a region: a grid from its lower left, cut off at the top and on the right.

    Args:
        region: output pixels.
        side: output pixels of a tile.
    """
    for low in range(0, region.height, side):
        height = min(side, region.height - low)
        row = region.row + region.height - low - height
        for left in range(0, region.width, side):
            width = min(side, region.width - left)
            yield Window(row, region.column + left, height, width)


def find_source(target: Window, margin: int, factor: int) -> Window:
    """The input pixels that a tile is made from: its own land and the margin around it.

    Args:
        target: output pixels.
        margin: output pixels.
        factor: output pixels along one of the input.

    Raises:
        ValueError: it begins or ends between two input pixels: tile, region and margin must be
            multiples of the factor.
    """
    return target.grow(margin).shrink(factor)
