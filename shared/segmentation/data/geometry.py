"""Where the pixels of a view come from: the same geometry for a tile and for its mask.

Flipped, then turned about its centre, then cut. A view that is not turned copies pixels; one that
is turned is sampled once, the image bilinear and the mask nearest. What comes in from outside the
tile is black and has no class.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from shared import tiles

Box = tuple[int, int, int, int]
Line = NDArray[np.floating]


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
    if angle:
        return _sample(image, mask, box, flips, angle)
    axes = [axis for axis, flipped in ((1, flips[0]), (0, flips[1])) if flipped]
    side = mask.shape[0]
    top = side - top - height if flips[1] else top
    left = side - left - width if flips[0] else left
    place = slice(top, top + height), slice(left, left + width)
    return _scale(image[place].flip(axes)), mask[place].flip(axes)


def _scale(image: Tensor) -> Tensor:
    """(h, w, 3) uint8 to (3, h, w) float32, 0 … 1."""
    channels = image.permute(2, 0, 1)
    return channels.new_empty(channels.shape, dtype=torch.float32).copy_(channels).div_(255)


def _sample(
    image: Tensor, mask: Tensor, box: Box, flips: tuple[bool, bool], angle: float
) -> tuple[Tensor, Tensor]:
    """The turned view, which reads only the part of the tile that it needs."""
    side, place = mask.shape[0], []
    ends = _turn(box, mask.shape[0], flips, angle)
    for along, down in ends:
        corners = [a + b for a in (along[0], along[-1]) for b in (down[0], down[-1])]
        place.append(_range(corners, side))
    columns, rows = place
    grid = torch.empty((1, box[2], box[3], 2), device=mask.device)
    for axis, ((along, down), part) in enumerate(zip(ends, place, strict=True)):
        # From pixels to the -1 … 1 of the part that is read.
        scale = 2 / (part.stop - part.start)
        x = torch.from_numpy((along - part.start) * scale - 1).float().to(mask.device)
        y = torch.from_numpy(down * scale).float().to(mask.device)
        torch.add(x, y[:, None], out=grid[0, :, :, axis])
    # 0 is what is read outside, so 0 is to be the ignore value meanwhile.
    turned = (tiles.IGNORE - mask[rows, columns]).float()[None, None]
    classes = _read(turned, grid, "nearest")[0, 0].to(torch.uint8)
    return _read(_scale(image[rows, columns])[None], grid, "bilinear")[0], tiles.IGNORE - classes


def _read(values: Tensor, grid: Tensor, way: str) -> Tensor:
    return functional.grid_sample(values, grid, way, padding_mode="zeros", align_corners=False)


def _turn(box: Box, side: int, flips: tuple[bool, bool], angle: float) -> list[tuple[Line, Line]]:
    """Where the pixels of a box read, in pixels from the corner of the stored tile.

    Returns:
        For x, then for y: the (w,) part that a pixel's column adds and the (h,) part of its row.
    """
    top, left, height, width = box
    x, y = (np.arange(n) + (start + 0.5 - side / 2) for start, n in ((left, width), (top, height)))
    cos, sin = math.cos(angle), math.sin(angle)
    parts = [(cos * x, -sin * y), (sin * x, cos * y)]
    signs = [-1 if flipped else 1 for flipped in flips]
    return [(sign * a + side / 2, sign * b) for sign, (a, b) in zip(signs, parts, strict=True)]


def _range(corners: list[float], side: int) -> slice:
    """The pixels that are read, with two more on each side for the neighbours; at least one."""
    low = min(max(math.floor(min(corners)) - 2, 0), side - 1)
    high = max(min(math.ceil(max(corners)) + 2, side), low + 1)
    return slice(low, high)
