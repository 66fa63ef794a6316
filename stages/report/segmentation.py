"""Land cover: tile files, and networks that give each pixel a class."""

from typing import Any

from shared import models, patches, tiles
from shared.errors import StageError
from stages.report import confusions, datasets, pictures
from stages.report.inputs import Product, read_json

SPLITS = ("validation", "test")
MEANS = ("mean_iou", "pixel_accuracy", "macro_f1")
SHOWN = 6  # example tiles of a network


def describe_tiles(products: list[Product]) -> list[dict[str, Any]]:
    """Tables of tile files, classes down and files across; one for each set of classes."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for product in sorted(products, key=_place):
        with patches.read(product.path, "image", "mask") as source:
            told = tiles.describe(tiles.read_table(source), training=False)
            told |= {"name": product.name, "side": source["mask"].shape[1]}
            groups.setdefault(source.classes, []).append(told)
    return [
        {"files": files, "lines": list(zip(classes, _keys(classes, ()), strict=True))}
        for classes, files in groups.items()
    ]


def _place(product: Product) -> tuple[str, int]:
    """Training, validation and test of one folder together, in this order."""
    path, known = product.path, ("training", "validation", "testing")
    return str(path.parent), known.index(path.stem) if path.stem in known else len(known)


def describe(product: Product) -> dict[str, Any]:
    """Means, values of each class, confusions, curves and example tiles of one network.

    Raises:
        StageError: a file that is missing, or not as segment writes it.
    """
    folder, metrics = product.path, read_json(product.path / "metrics.json")
    card = models.load(folder, "segmentation")[0]
    splits = [split for split in SPLITS if split in metrics]
    try:
        means = {split: {name: metrics[split][name] for name in MEANS} for split in splits}
        lines = [
            key | {"splits": [metrics[split]["per_class"][name] for split in splits]}
            for name, key in zip(card.classes, _keys(card.classes, card.colours), strict=True)
        ]
        told = {
            "splits": splits, "means": means, "lines": lines,
            "epochs": metrics["trained_epochs"], "kept": metrics["kept_epoch"],
            "confusion_of": metrics["confusion_of"],
        }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise StageError(
            f"{folder / 'metrics.json'}: expected measures as segment writes them ({error!r})"
        ) from None
    examples = sorted((folder / "examples").glob("*.png"))[:SHOWN]
    curves = folder / "curves.png"
    return told | {
        "name": product.name,
        "architecture": card.architecture,
        "classes": _keys(card.classes, card.colours),
        "confusion": confusions.confusion(folder / "confusion.csv"),
        "curves": pictures.file_uri(curves) if curves.is_file() else "",
        "examples": {path.stem: pictures.file_uri(path) for path in examples},
    }


def _keys(classes: tuple[str, ...], colours: tuple[str, ...]) -> list[dict[str, str]]:
    """Title and colour of each class; the published colours for LandCover.ai's classes."""
    if not colours and classes == tiles.CLASSES:
        colours = tiles.COLOURS
    plain = datasets.keys(classes)
    if not colours:
        return plain
    return [key | {"colour": colour} for key, colour in zip(plain, colours, strict=True)]
