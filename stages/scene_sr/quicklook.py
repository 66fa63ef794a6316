"""A small picture of the image for people."""

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from shared import names
from shared.sisr_client import NODATA

SIDE = 1024  # pixels of the longer side, at most
COLOURS = ("B4", "B3", "B2")
ENDS = (2, 98)  # percent of the values that lie below black, and below white


def draw(image: Path, path: Path, bands: tuple[str, ...]) -> None:
    """Write a PNG of an image: red, green and blue, or its first band in grey.

    Args:
        image: GeoTIFF.
        path: of the PNG.
        bands: of the image.
    """
    chosen = COLOURS if set(COLOURS) <= set(bands) else bands[:1]
    with rasterio.open(names.address(image)) as file:
        longer = max(file.height, file.width)
        step = max(1.0, longer / SIDE)
        size = (max(1, round(file.height / step)), max(1, round(file.width / step)))
        indexes = [bands.index(name) + 1 for name in chosen]
        pixels = file.read(indexes, out_shape=(len(indexes), *size))
    picture = stretch(pixels)
    profile = {"driver": "PNG", "dtype": "uint8", "count": len(picture)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a picture has no place
        place = {"height": size[0], "width": size[1]}
        with rasterio.open(names.address(path), "w", **place, **profile) as file:
            file.write(picture)


def stretch(pixels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """(C, H, W) to 1 … 255 between two percentiles of all that is there, 0 where nothing is."""
    there = pixels != NODATA
    if not there.any():
        return np.zeros(pixels.shape, np.uint8)
    low, high = np.percentile(pixels[there], ENDS)
    shown = 1 + 254 * (pixels.astype(np.float32) - low) / max(high - low, 1.0)
    return np.where(there, np.rint(shown.clip(1, 255)), 0).astype(np.uint8)
