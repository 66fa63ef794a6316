"""Bands in threes, for networks that mix three channels: which ones, and where they go back."""

import numpy as np
from numpy.typing import NDArray

from shared import lcz

Array = NDArray[np.float32]

# In the order of red, green and blue. A band that is in two of them is taken from the first.
TRIPLETS = (("B4", "B3", "B2"), ("B8", "B6", "B5"), ("B11", "B12", "B8A"), ("B12", "B12", "B7"))
NAMES = tuple(name for triplet in TRIPLETS for name in triplet)


def match(bands: tuple[str, ...]) -> bool:
    """Whether the triplets hold just these bands, in whatever order."""
    return sorted(bands) == sorted(set(NAMES))


def gather(images: Array, bands: tuple[str, ...] = lcz.SEN2.bands) -> Array:
    """(N, H, W, C) images with these bands to (N * 4, 3, H, W), the triplets of a patch in a row.

    Raises:
        ValueError: a band of the triplets is not among ``bands``.
    """
    height, width = images.shape[1:3]
    channels = images[..., list(lcz.indices(bands, NAMES))]
    return np.ascontiguousarray(np.moveaxis(channels, -1, 1)).reshape(-1, 3, height, width)


def scatter(triplets: Array, bands: tuple[str, ...] = lcz.SEN2.bands) -> Array:
    """(N * 4, 3, H, W) triplets back to (N, H, W, C) with these bands; the inverse of `gather`.

    Raises:
        ValueError: a band is in no triplet.
    """
    channels = triplets.reshape(-1, len(NAMES), *triplets.shape[2:])
    return np.moveaxis(channels[:, list(lcz.indices(NAMES, bands))], 1, -1)
