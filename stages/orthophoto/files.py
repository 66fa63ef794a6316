"""GeoTIFF of pictures and masks, and the lists of tiles, as LandCover.ai is laid out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import tiles

EPSG = 2180  # as LandCover.ai
WEST, NORTH = 500_000.0, 600_000.0  # of the first picture; others lie 10 km further east each
BLOCK = 256


def encode(pixels: NDArray[np.uint8], number: int, cell: float) -> bytes:
    """A GeoTIFF.

    Args:
        pixels: (H, W, bands).
        number: of the picture, which decides where it lies.
        cell: metres of a pixel.
    """
    import rasterio
    from rasterio.io import MemoryFile

    high, wide, bands = pixels.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": high, "width": wide, "count": bands, "dtype": "uint8",
        "crs": f"EPSG:{EPSG}", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
        "transform": rasterio.Affine(cell, 0, WEST + 1e4 * number, 0, -cell, NORTH),
        "compress": "deflate", "interleave": "pixel",
        "photometric": "RGB" if bands == 3 else "MINISBLACK",
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())


def put(path: Path, content: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    draft = path.with_name(f"unfinished-{path.name}")
    draft.write_bytes(content)
    draft.rename(path)


def list_tiles(names: list[str], size: int) -> Iterator[tuple[str, str]]:
    """Names of the lists and what is in them, whole pictures in each: 70, 15 and 15 %.

    Args:
        names: of the pictures, three or more.
        size: pixels of a side.
    """
    few = max(round(0.15 * len(names)), 1)
    parts = {"train": names[: -2 * few], "val": names[-2 * few : -few], "test": names[-few:]}
    whole, grid = size // tiles.SIDE, -(-size // tiles.SIDE)
    numbers = [row * grid + column for row in range(whole) for column in range(whole)]
    for split, part in parts.items():
        yield f"{split}.txt", "".join(f"{name}_{number}\n" for name in part for number in numbers)
