"""Land cover: orthophotos, the tiles that are cut from them, and networks that learn from these."""

from collections.abc import Iterator
from pathlib import Path

from shared.errors import StageError
from shared.pipeline.product import Flags, Product, flag, without
from shared.pipeline.settings import Settings, chosen

RAW = "landcover"
DRAWN, REAL = ("pyramid-tiny",), ("swin_v2_b",)  # networks without SEGMENTERS
# Drawn orthophotos are learned by a small network, from its first weights, on a CPU.
SMALL: Flags = ("--epochs", "40", "--batch", "8", "--lr", "0.003")
SPLITS = {"train": "training", "validation": "validation", "test": "testing"}


def products(settings: Settings) -> Iterator[Product]:
    """Tiles and networks of the folder that LANDCOVER names; else of drawn orthophotos.

    Raises:
        StageError: there is no such folder.
    """
    folder = settings.landcover
    if folder and not Path(folder).is_dir():
        raise StageError(f"LANDCOVER: no such folder: {folder}")
    if folder:
        tiles = settings.below(f"tiles/{Path(folder).name}")
        more = flag("split_lists", settings.split_lists)
        yield Product("landcover", tiles, (), ("--src", folder, *more), raw=(folder,), in_all=True)
    else:
        drawn, tiles = settings.below("orthophoto"), settings.below("tiles/orthophoto")
        yield Product("orthophoto", drawn, in_all=True)
        yield Product("landcover", tiles, (drawn,), ("--src", drawn), in_all=True)
    yield from _segmenters(settings, tiles, small=not folder)


def _segmenters(settings: Settings, tiles: str, *, small: bool) -> Iterator[Product]:
    """One network each, measured on all splits."""
    splits = [word for name, file in SPLITS.items() for word in (f"--{name}", f"{tiles}/{file}.h5")]
    for name in settings.segmenters or (DRAWN if small else REAL):
        said = settings.flags.get("segment", ())
        epochs = flag("epochs", chosen(settings.epochs, name))
        usual = without(SMALL if small else (), (*epochs, *said))
        yield Product(
            "segment", settings.below(f"segment/{tiles.rpartition('/')[2]}-{name}"), (tiles,),
            (*splits, "--architecture", name, *usual, *without(epochs, said)), in_all=True,
        )  # fmt: skip
