"""Orthophotos with a class for each pixel, and the tiles that are cut from them."""

from collections.abc import Iterator
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Product
from shared.pipeline.settings import Settings


def products(settings: Settings) -> Iterator[Product]:
    """The tiles of the folder that LANDCOVER names; else, of a procedural source, of drawn ones.

    Raises:
        StageError: there is no such folder.
    """
    folder = settings.landcover
    if folder and not Path(folder).is_dir():
        raise StageError(f"LANDCOVER: no such folder: {folder}")
    if folder:
        tiles = settings.below(f"landcover/{Path(folder).name}")
        yield Product("landcover", tiles, (), ("--src", folder), raw=(folder,))
    elif settings.raw == "demo":
        drawn, tiles = settings.below("orthophoto"), settings.below("landcover/orthophoto")
        yield Product("orthophoto", drawn)
        yield Product("landcover", tiles, (drawn,), ("--src", drawn))
