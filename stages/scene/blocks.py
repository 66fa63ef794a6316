"""Blocks of a product in the numbers of a scene file."""

import numpy as np
from numpy.typing import NDArray

from shared import scenes
from shared.products import Band, Product


def read_block(
    product: Product, bands: list[Band], rows: slice, columns: slice
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Stored numbers (height, width, C) and mask (height, width) of a window."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    pixels = np.empty((height, width, len(bands)), np.uint16)
    missing = np.zeros((height, width), bool)
    for number, band in enumerate(bands):
        values = band.read(rows, columns)
        missing |= ~np.isfinite(values)
        np.nan_to_num(values, copy=False)
        pixels[..., number] = np.rint(values).clip(1, 65535)
    pixels[missing] = scenes.NO_DATA
    if product.mask is None:
        return pixels, np.zeros((height, width), np.uint8)
    return pixels, np.where(missing, np.uint8(scenes.UNKNOWN), product.mask(rows, columns))
