"""Where the pixels of a view come from: the same geometry for a tile and for its mask.

Flipped, then turned about its centre, then cut. A view that is not turned copies pixels; one that
is turned is sampled once, the image bilinear and the mask nearest. What comes in from outside the
tile is black and has no class.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from shared import tiles

Box = tuple[int, int, int, int]


def cut_view(
    image: Tensor, mask: Tensor, box: Box, flips: tuple[bool, bool], angle: float
) -> tuple[Tensor, Tensor]:
    """A part of a flipped and turned tile.

    Args:
        image: (S, S, 3) uint8.
        mask: (S, S) uint8.
        box: top, left, height h and width w in pixels of the turned tile.
        flips: whether left and right, and top and bottom, change places.
        angle: radians, counter-clockwise as one sees it.

    Returns:
        (3, h, w) float32, 0 … 1, and (h, w) uint8.
    """
    top, left, height, width = box
    axes = [axis for axis, flipped in ((1, flips[0]), (0, flips[1])) if flipped]
    if angle:
        return _sample(image, mask, box, axes, angle)
    side = mask.shape[0]
    top = side - top - height if flips[1] else top
    left = side - left - width if flips[0] else left
    place = slice(top, top + height), slice(left, left + width)
    return _scale(image[place].flip(axes)), mask[place].flip(axes)


def _scale(image: Tensor) -> Tensor:
    """(h, w, 3) uint8 to (3, h, w) float32, 0 … 1."""
    return image.permute(2, 0, 1).float().div_(255)


def _sample(
    image: Tensor, mask: Tensor, box: Box, axes: list[int], angle: float
) -> tuple[Tensor, Tensor]:
    """The turned view, which reads only the part of the tile that it needs."""
    places = _places(box, mask.shape[0], axes, angle, mask.device)
    rows, columns = (
        _range(axis, mask.shape[0]) for axis in _reach(box, mask.shape[0], axes, angle)
    )
    start = torch.tensor([columns.start, rows.start], device=mask.device)
    size = torch.tensor([columns.stop, rows.stop], device=mask.device) - start
    grid = ((places - start) * 2 / size - 1)[None]
    picture = _scale(image[rows, columns])[None]
    # 0 is what `grid_sample` reads outside, so 0 is to be the ignore value meanwhile.
    turned = (tiles.IGNORE - mask[rows, columns]).float()[None, None]
    classes = _read(turned, grid, "nearest")[0, 0]
    return _read(picture, grid, "bilinear")[0], tiles.IGNORE - classes.to(torch.uint8)


def _read(values: Tensor, grid: Tensor, way: str) -> Tensor:
    return functional.grid_sample(values, grid, way, padding_mode="zeros", align_corners=False)


def _places(box: Box, side: int, axes: list[int], angle: float, device: torch.device) -> Tensor:
    """(h, w, 2) x and y in the stored tile, in pixels from its corner, where each pixel reads."""
    top, left, height, width = box
    y = torch.arange(height, device=device)[:, None] + (top + 0.5 - side / 2)
    x = torch.arange(width, device=device)[None] + (left + 0.5 - side / 2)
    return torch.stack(_turn(x, y, axes, angle), 2) + side / 2


def _turn(x: Tensor, y: Tensor, axes: list[int], angle: float) -> tuple[Tensor, Tensor]:
    """From places in the turned tile to those in the stored one, both seen from the centre."""
    cos, sin = math.cos(angle), math.sin(angle)
    across, down = cos * x - sin * y, sin * x + cos * y
    return (-across if 1 in axes else across), (-down if 0 in axes else down)


def _reach(box: Box, side: int, axes: list[int], angle: float) -> tuple[Tensor, Tensor]:
    """The (4,) rows and the (4,) columns of the stored tile that the corners of the box read."""
    top, left, height, width = box
    y = torch.tensor([top, top, top + height, top + height]) - side / 2
    x = torch.tensor([left, left + width, left, left + width]) - side / 2
    across, down = _turn(x, y, axes, angle)
    return down + side / 2, across + side / 2


def _range(places: Tensor, side: int) -> slice:
    """Those that lie in the tile, and one more on each side for the neighbours; at least one."""
    low = min(max(math.floor(places.min()) - 1, 0), side - 1)
    high = max(min(math.ceil(places.max()) + 1, side), low + 1)
    return slice(low, high)
