"""Eight-bit pictures resized on the device as `shared.models.resize_levels` does, to the bit."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from shared import models

# Pixels that are made at once: on a CPU as many as stay in its cache.
AT_ONCE = {"cpu": 2**17, "cuda": 2**25}


def resize_levels(levels: Tensor, size: int, channels: int) -> Tensor:
    """(N, C, S, S) whole levels 0 … 255, float32, to (N, C, size, size), bilinear as OpenCV's.

    Args:
        levels: of some channels of a picture.
        size: pixels per side afterwards.
        channels: of the whole picture: with 1, 3 or 4, OpenCV halves it in another way.
    """
    side = levels.shape[-1]
    if side == size:
        return levels
    if side == 2 * size:
        return _halve(levels, channels)
    made = levels.new_empty((*levels.shape[:2], size, size))
    run = max(1, AT_ONCE[levels.device.type] // (levels.shape[1] * size**2))
    for some, into in zip(levels.split(run), made.split(run), strict=True):
        _enlarge(some, into)
    return made


def _enlarge(levels: Tensor, into: Tensor) -> None:
    """Across in single precision, which is exact there: at most two weights of eleven bits."""
    side, size = levels.shape[-1], into.shape[-1]
    matrix, top, below, shares = _taps(side, size, levels.device)
    across = (levels.reshape(-1, side) @ matrix).mul_(1 / 16).to(torch.int32)
    across = across.view(*levels.shape[:-1], size)
    parts = across.index_select(-2, top).mul_(shares[0]).bitwise_right_shift_(16)
    parts += across.index_select(-2, below).mul_(shares[1]).bitwise_right_shift_(16)
    into.copy_(parts.add_(2).bitwise_right_shift_(2))


@lru_cache(maxsize=32)
def _taps(side: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(side, size) weights across; rows above and below each one, (2, size, 1) weights of them."""
    left, right, weights = models.level_taps(side, size, clamped=True)
    matrix = np.zeros((side, size), np.float32)
    for pixels, each in zip((left, right), weights, strict=True):
        np.add.at(matrix, (pixels, np.arange(size)), each)
    top, below, weights = models.level_taps(side, size, clamped=False)
    shares = torch.from_numpy(np.stack(weights)[:, :, None])
    made = (torch.from_numpy(matrix), torch.from_numpy(top), torch.from_numpy(below), shares)
    first, second, third, fourth = (tensor.to(device) for tensor in made)
    return first, second, third, fourth


def _halve(levels: Tensor, channels: int) -> Tensor:
    sums = levels[..., ::2, ::2] + levels[..., 1::2, ::2]
    sums += levels[..., ::2, 1::2] + levels[..., 1::2, 1::2]
    if channels in models.VECTORISED:
        return (sums + 2).mul_(0.25).floor_()
    return (sums * 0.25).round_()  # to the even one, as numpy and OpenCV
