"""Orthophotos with a class for each pixel, and the tiles that are cut from them."""

from collections.abc import Iterator
from pathlib import Path

from shared.pipeline.product import Product, check_folder
from shared.pipeline.settings import Settings

TINY = ("--architecture", "pyramid-tiny", "--lr", "0.003", "--epochs", "40", "--batch", "8")


def products(settings: Settings) -> Iterator[Product]:
    """Tiles and a network: of the folder that LANDCOVER names, else of drawn orthophotos.

    Drawn ones, which procedural sources have, are for a first look: their network is a tiny one.

    Raises:
        StageError: there is no such folder, or make cannot write its name.
    """
    folder = settings.landcover
    if folder:
        check_folder("LANDCOVER", folder)
        tiles = settings.below(f"landcover/{Path(folder).name}")
        yield Product("landcover", tiles, (), ("--src", folder), raw=(folder,))
        yield segmented(settings, tiles)
    elif settings.raw == "demo":
        drawn, tiles = settings.below("orthophoto"), settings.below("landcover/orthophoto")
        yield Product("orthophoto", drawn)
        yield Product("landcover", tiles, (drawn,), ("--src", drawn))
        yield segmented(settings, tiles, TINY)


def segmented(settings: Settings, tiles: str, flags: tuple[str, ...] = ()) -> Product:
    """The network that learns from the tiles of a folder.

    Args:
        settings: of the source.
        tiles: product of landcover.
        flags: of segment that are not its defaults.
    """
    splits = {"train": "training", "validation": "validation", "test": "testing"}
    files = [word for flag, name in splits.items() for word in (f"--{flag}", f"{tiles}/{name}.h5")]
    path = settings.below(f"segment/{Path(tiles).name}")
    return Product("segment", path, (tiles,), (*files, *flags))
