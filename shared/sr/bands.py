"""What super-resolution networks eat: single bands, each stretched to 0 … 1 by its own range."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def to_planes(images: Array) -> Array:
    """(N, H, W, C) images to (N * C, 1, H, W) single bands, the C bands of a patch in a row."""
    count, height, width, bands = images.shape
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)).reshape(count * bands, 1, height, width)


def to_images(planes: Array, bands: int) -> Array:
    """(N * C, 1, H, W) single bands back to (N, H, W, C); the inverse of `to_planes`."""
    _, _, height, width = planes.shape
    return np.moveaxis(planes.reshape(-1, bands, height, width), 1, -1)


def measure_ranges(planes: Array) -> tuple[Array, Array]:
    """(M, K, 1, 1) minimum and (M, K, 1, 1) range of each band; a constant band has range 0."""
    low = planes.min((2, 3), keepdims=True)
    return low, planes.max((2, 3), keepdims=True) - low


def stretch(planes: Array, low: Array, span: Array) -> Array:
    """Values to the network's unit, in which low is 0 and low + span is 1.

    Networks trained on photographs expect their contrast, and reflectance has a tenth of it. A
    constant band becomes 0.5, so that `restore` gives it back exactly, whatever the network says.
    """
    flat = span == 0
    return np.where(flat, np.float32(0.5), (planes - low) / np.where(flat, 1, span))


def restore(planes: Array, low: Array, span: Array) -> Array:
    """Network units back to the values' own; planes may have another height and width."""
    return planes * span + low


def match_statistics(large: Array, images: Array) -> Array:
    """Per-band gain and offset that give enlarged patches the mean and deviation of their input.

    Args:
        large: (N, s * H, s * W, C) enlarged patches.
        images: (N, H, W, C) what they were enlarged from.

    Returns:
        (N, s * H, s * W, C) whose means over s × s boxes have, band by band and patch by patch, the
        mean and standard deviation of ``images``. A band whose boxes are all equal gets the mean.
    """
    count, height, width, channels = images.shape
    scale = large.shape[1] // height
    boxes = large.reshape(count, height, scale, width, scale, channels).mean((2, 4), np.float64)
    centre, spread = boxes.mean((1, 2), keepdims=True), boxes.std((1, 2), keepdims=True)
    mean = images.mean((1, 2), np.float64, keepdims=True)
    std = images.std((1, 2), np.float64, keepdims=True)
    gain = np.where(spread > 1e-9, std / np.where(spread > 1e-9, spread, 1), 0)
    return ((large - centre) * gain + mean).astype(np.float32)
