"""Where the pixels of a view come from: geometry and size in one resampling, or one after another.

A picture is sampled with zeros around it. The size alone repeats its outermost half pixels, as the
plain view does, so that the view whose geometry moves nothing is the plain view.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shared import models
from shared.training.data.split import Batch

Resize = Callable[[Tensor], Tensor]
OUTSIDE = 1e4  # added to a coordinate of -1 … 1: no pixel is there, so what is read is zero


def rows_at_once(size: int, device: torch.device) -> int:
    """Rows that are sampled together, of this many pixels per side.

    On a CPU what its cache holds, which takes a quarter less time; on a GPU what leaves its memory
    to the network.
    """
    if device.type == "cuda":
        return max(1, 2**25 // size**2)
    return min(128, max(1, 2**20 // size**2))


def see_images(
    images: Tensor, views: Batch, side: int, size: int, interpolation: str,
    resize: Resize | None = None,
) -> Tensor:  # fmt: skip
    """(N, C, S, S) to (N, C, size, size) through the views that were drawn, each sampled once.

    Args:
        images: normalised, stored side S.
        views: "theta", "holes" and "turned" as `draw_views` draws them.
        side: patch side in Sentinel pixels; where S is no multiple of it, no row moves by whole
            pixels of its own.
        size: pixels per side of what is seen.
        interpolation: "bilinear" or "nearest".
        resize: of what is moved by whole pixels, (M, C, S, S) to (M, C, size, size); None for
            `resize_images`.
    """
    resize = resize or partial(resize_images, size=size, interpolation=interpolation)
    turned = views["turned"] | bool(images.shape[-1] % side)
    seen = images.new_empty((*images.shape[:2], size, size))
    run = rows_at_once(size, images.device)
    for some in turned.nonzero()[:, 0].split(run):
        theta, holes = views["theta"][some], views["holes"][some]
        seen[some] = sample_images(images[some], theta, holes, size, interpolation)
    for some in (~turned).nonzero()[:, 0].split(run):
        seen[some] = shift_images(images[some], views["theta"][some], views["holes"][some], resize)
    return seen


def warp_images(
    images: Tensor, theta: Tensor, holes: Tensor, interpolation: str = "bilinear"
) -> Tensor:
    """(N, C, H, W) seen through the views that were drawn: zero fill, holes zero."""
    across, down = _centres(images.shape[-1], theta), _centres(images.shape[-2], theta)
    grid = _grid(theta, (across, down), (across, down), holes * 2 - 1)
    return _sample(images, grid, interpolation)


def sample_images(
    images: Tensor, theta: Tensor, holes: Tensor, size: int, interpolation: str
) -> Tensor:
    """(N, C, S, S) to (N, C, size, size) through the views, in one resampling.

    Each pixel looks up where the plain view would read it, and there the geometry begins. So with
    "nearest" the pixels of the patch stay squares, as they are in the plain view.
    """
    side = images.shape[-1]
    pixels = np.arange(side, dtype=np.float32)[None]
    read = torch.from_numpy(models.resize(pixels, 1, size, interpolation)[0]).to(theta.device)
    place = (read * 2 + 1) / side - 1
    centres = _centres(size, theta)
    grid = _grid(theta, (place, place), (centres, centres), holes * 2 - 1)
    return _sample(images, grid, interpolation)


def shift_images(images: Tensor, theta: Tensor, holes: Tensor, resize: Resize) -> Tensor:
    """The same where whole pixels come to whole pixels: they are copied, then resized."""
    moved = resize(warp_images(images, theta, holes * 0, "nearest"))
    size = moved.shape[-1]
    cut = (holes[:, 2] > holes[:, 0]).nonzero()[:, 0]
    if len(cut):
        centres, ends = _centres(size, theta), holes[cut] * 2 - 1
        across, down = _inside(centres, ends[:, 0::2]), _inside(centres, ends[:, 1::2])
        moved[cut] *= 1 - (across[:, None, :] * down[:, :, None])[:, None]
    return moved


def _sample(images: Tensor, grid: Tensor, interpolation: str) -> Tensor:
    return functional.grid_sample(
        images, grid, interpolation, padding_mode="zeros", align_corners=False
    )


def _grid(
    theta: Tensor, place: tuple[Tensor, Tensor], centres: tuple[Tensor, Tensor], holes: Tensor
) -> Tensor:
    """(N, H, W, 2) places to read at: each the sum of a number per column and one per row.

    Args:
        theta: (N, 2, 3) geometry.
        place: where each column (W,) and each row (H,) looks when the geometry moves nothing.
        centres: where each of them lies, -1 … 1, which is what decides whether it is in a hole.
        holes: (N, 4) left, top, right, bottom, -1 … 1.
    """
    column, row = place
    along = theta[:, :, :1] * column
    down = theta[:, :, 1:2] * row + theta[:, :, 2:]
    grid = theta.new_empty((len(theta), len(row), len(column), 2))
    for axis in (0, 1):
        torch.add(along[:, axis, None, :], down[:, axis, :, None], out=grid[..., axis])
    across, upright = _inside(centres[0], holes[:, 0::2]), _inside(centres[1], holes[:, 1::2])
    grid[..., 0].addcmul_(across[:, None, :], upright[:, :, None], value=OUTSIDE)
    return grid


def _centres(side: int, like: Tensor) -> Tensor:
    return (torch.arange(side, device=like.device) * 2 + 1) / side - 1


def _inside(centres: Tensor, ends: Tensor) -> Tensor:
    """(N, side) one where the centre of a pixel lies between the two ends (N, 2), else zero."""
    return ((centres >= ends[:, :1]) & (centres < ends[:, 1:])).float()


def resize_images(images: Tensor, size: int, interpolation: str) -> Tensor:
    """(N, C, H, H) to (N, C, size, size): half-pixel centres, no antialias."""
    side = images.shape[-1]
    if side == size:
        return images
    if interpolation == "nearest":
        return functional.interpolate(images, size, mode="nearest")
    if images.is_cuda or side > size:
        return functional.interpolate(images, size, mode="bilinear", align_corners=False)
    # On a CPU two products with the shares of the pixels take a third of interpolate's time.
    eye = np.eye(side, dtype=np.float32)
    shares = torch.from_numpy(models.resize(eye, size, side, "bilinear"))
    wide = (images.reshape(-1, side) @ shares.T).view(-1, side, size)
    return torch.matmul(shares, wide).view(*images.shape[:2], size, size)
