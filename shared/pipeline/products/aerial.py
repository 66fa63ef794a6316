"""Land cover: orthophotos, their tiles, networks that learn from these, INT8 and maps."""

from collections.abc import Iterator
from pathlib import Path

from shared.pipeline.product import Flags, Product, check_folder, flag, without
from shared.pipeline.settings import Settings, chosen

RAW = "landcover"
DRAWN, REAL = ("pyramid-tiny",), ("swin_v2_b",)  # networks without SEGMENTERS
# Drawn orthophotos are for a first look: their network is a tiny one, which two cores can train.
# What is drawn differs by its colours above all, so hues stay: with others it learns much later.
TINY: Flags = ("--epochs", "40", "--batch", "4", "--lr", "0.003", "--jitter", "0.2,0.2,0.2,0")
FEW_RUNS: Flags = ("--latency_runs", "10")  # of export: a whole tile takes a second
SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
MAPPED = "ortho-010"  # a drawn orthophoto of the test split


def products(settings: Settings) -> Iterator[Product]:
    """Tiles, networks and maps of the folder that LANDCOVER names; else of drawn orthophotos.

    Raises:
        StageError: there is no such folder, or make cannot write its name.
    """
    folder = settings.landcover
    if not folder:
        yield from _of_drawn(settings)
        return
    check_folder("LANDCOVER", folder)
    name = Path(folder).name
    tiles, more = settings.below(f"tiles/{name}"), flag("split_lists", settings.split_lists)
    yield Product("landcover", tiles, (), ("--src", folder, *more), raw=(folder,), in_all=True)
    for network in settings.segmenters or REAL:
        learned = segmented(settings, tiles, network)
        yield learned
        yield exported(settings, tiles, learned)
        # Of all orthophotos, which takes hours: not by make all.
        yield Product(
            "map", settings.below(f"map/{name}-{network}"), (learned.path,),
            ("--src", folder, "--model", learned.path), raw=(folder,),
        )  # fmt: skip


def _of_drawn(settings: Settings) -> Iterator[Product]:
    drawn, tiles = settings.below("orthophoto"), settings.below("tiles/orthophoto")
    yield Product("orthophoto", drawn, in_all=True)
    yield Product("landcover", tiles, (drawn,), ("--src", drawn), in_all=True)
    for network in settings.segmenters or DRAWN:
        learned = segmented(settings, tiles, network, TINY)
        yield learned
        yield exported(settings, tiles, learned, FEW_RUNS)
        photo = f"{drawn}/images/{MAPPED}.tif"
        yield Product(
            "map", settings.below(f"map/{MAPPED}-{network}"), (drawn, learned.path),
            ("--src", photo, "--model", learned.path), in_all=True,
        )  # fmt: skip


def segmented(settings: Settings, tiles: str, network: str, usual: Flags = ()) -> Product:
    """A network that learns from the tiles of a folder, measured on all splits.

    Args:
        settings: of the source; their flags win.
        tiles: product of landcover.
        network: its architecture.
        usual: flags of segment that are not its defaults.
    """
    files = [word for name, file in SPLITS.items() for word in (f"--{name}", f"{tiles}/{file}.h5")]
    said = settings.flags.get("segment", ())
    epochs = without(flag("epochs", chosen(settings.epochs, network)), said)
    return Product(
        "segment", settings.below(f"segment/{Path(tiles).name}-{network}"), (tiles,),
        (*files, "--architecture", network, *without(usual, (*epochs, *said)), *epochs),
        in_all=True,
    )  # fmt: skip


def exported(settings: Settings, tiles: str, learned: Product, usual: Flags = ()) -> Product:
    """Its form for Metis and in INT8, with the IoU that each class loses.

    Args:
        settings: of the source.
        tiles: product of landcover.
        learned: product of segment.
        usual: flags of export that are not its defaults.
    """
    said = settings.flags.get("export", ())
    files = ("--train", f"{tiles}/training.h5", "--test", f"{tiles}/testing.h5")
    return Product(
        "export", settings.below(f"export/{Path(learned.path).name}"), (tiles, learned.path),
        ("--src", learned.path, *files, *without(usual, said)), in_all=True,
    )  # fmt: skip
