"""Resizing of patches and pictures in numpy: exact, and in 8 bits as OpenCV does it."""

import numpy as np
from numpy.typing import NDArray

FULL = 2048  # the weight of a whole pixel: OpenCV's has eleven bits
VECTORISED = (1, 3, 4)  # channels for which OpenCV halves a picture with integers
Index = NDArray[np.intp]
Weights = NDArray[np.int32]


def resize(
    images: NDArray[np.float32], height: int, width: int, interpolation: str
) -> NDArray[np.float32]:
    """(…, H, W) to (…, height, width): half-pixel centres, no antialias, "bilinear" or "nearest".

    Equals ``torch.nn.functional.interpolate(align_corners=False)`` to rounding. Element by element,
    because a matrix product rounds differently from one processor to the next.
    """
    for axis, target in ((-2, height), (-1, width)):
        left, right, part = _taps(images.shape[axis], target, interpolation)
        part = part[:, None] if axis == -2 else part
        images = images.take(left, axis) * (1 - part) + images.take(right, axis) * part
    return np.ascontiguousarray(images, np.float32)


def _taps(
    source: int, target: int, interpolation: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """(target,) source pixels left and right of each target pixel, and the share of the right."""
    if interpolation == "nearest":  # in single precision as torch: 41 * (32 / 82) is below 16
        taken = np.arange(target, dtype=np.float32) * (np.float32(source) / np.float32(target))
        nearest = np.minimum(taken.astype(np.intp), source - 1)
        return nearest, nearest, np.zeros(target, np.float32)
    centres = (np.arange(target) + 0.5) * source / target
    place = np.clip(centres - 0.5, 0, source - 1)
    left = np.minimum(place.astype(np.intp), source - 1)
    return left, np.minimum(left + 1, source - 1), (place - left).astype(np.float32)


def resize_levels(
    pictures: NDArray[np.number], height: int, width: int, interpolation: str
) -> NDArray[np.float32]:
    """(…, C, H, W) whole levels 0 … 255 to (…, C, height, width), as 8-bit pictures are resized.

    Bilinear is ``cv2.resize`` of uint8 with INTER_LINEAR, to the bit: weights of eleven bits, and
    what is below a level is cut off in between, so that some pixels are a level lower than the
    exact value. OpenCV halves a picture in another way, which depends on its channels.
    """
    if interpolation == "nearest":
        return resize(np.asarray(pictures, np.float32), height, width, interpolation)
    levels = pictures.astype(np.int32)
    if levels.shape[-2:] == (height, width):
        return np.ascontiguousarray(levels, np.float32)
    if levels.shape[-2:] == (2 * height, 2 * width):
        halves = (levels[..., ::2] + levels[..., 1::2]).reshape(
            *levels.shape[:-2], height, 2, width
        )
        return halve(halves.sum(-2), levels.shape[-3]).astype(np.float32)
    left, right, shares = level_taps(levels.shape[-1], width, clamped=True)
    across = (levels[..., left] * shares[0] + levels[..., right] * shares[1]) >> 4
    top, below, shares = level_taps(levels.shape[-2], height, clamped=False)
    parts = (across[..., top, :] * shares[0][:, None]) >> 16
    parts += (across[..., below, :] * shares[1][:, None]) >> 16
    return np.ascontiguousarray((parts + 2) >> 2, np.float32)


def halve(sums: NDArray[np.int32], channels: int) -> NDArray[np.int32]:
    """The level of each two by two pixels from their sum: a half goes up, or to the even one."""
    if channels in VECTORISED:
        return (sums + 2) >> 2
    return np.rint(sums / 4).astype(np.int32)


def level_taps(source: int, target: int, clamped: bool) -> tuple[Index, Index, tuple[Weights, ...]]:
    """Pixels before and after each target pixel, and their (target,) weights of 2048 in all.

    Args:
        source: pixels along an axis.
        target: pixels along it afterwards.
        clamped: whether a place beyond the outer pixels is at them, as OpenCV takes it along rows.
            Down columns it takes the outer pixel twice, each with its weight, which rounds lower.
    """
    centre = (np.arange(target) + 0.5) * (1 / (target / source)) - 0.5
    place = centre.astype(np.float32)
    first = np.floor(place).astype(np.intp)
    part = place - first.astype(np.float32)
    if clamped:
        part = np.where((first < 0) | (first >= source - 1), np.float32(0), part)
    pair = (np.float32(1) - part, part)
    shares = tuple(np.rint(each * np.float32(FULL)).astype(np.int32) for each in pair)
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), shares
