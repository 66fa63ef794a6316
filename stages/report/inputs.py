"""The products handed to the report: what kind each one is, and by which record it was made."""

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared import conformal, patches
from shared.clutter import without_clutter
from shared.errors import StageError
from shared.reading import documents
from shared.runs import record

IMAGES = ("sen2", "rgb", "sen1")
FOLDERS = {
    "readback.json": "bundle", "report.json": "export", "panel.png": "comparison",
    "fft_freqs.npy": "sensors", "image.tif": "scene",
    "metrics.json": "classifier", "overview.png": "explanation",
    "area.csv": "map", "audit.json": "audit",
}  # fmt: skip


@dataclass(frozen=True)
class Product:
    """One product.

    Attributes:
        path: file or folder.
        name: path below what all products have in common.
        kind: patches, tiles, features, weights, comparison, classifier, segmenter, export,
            bundle, explanation, map, sensors, scene, calibration or audit.
        made: its record; empty when it has none.
    """

    path: Path
    name: str
    kind: str
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """Stage by the record, else "" ."""
        return str(self.made.get("plan", {}).get("stage", ""))

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters by the record."""
        return dict(self.made.get("plan", {}).get("parameters", {}))

    @property
    def inputs(self) -> dict[str, list[str]]:
        """Digests of the inputs, by parameter name."""
        plan = self.made.get("plan", {}).get("inputs", {})
        lists = {
            name: value if isinstance(value, list) else [value] for name, value in plan.items()
        }
        return {name: [digest for digest in digests if digest] for name, digests in lists.items()}


def collect(paths: tuple[Path, ...]) -> list[Product]:
    """Every product, and every patch file of a folder of them, in natural order of their names.

    Raises:
        StageError: a file or folder that no stage makes.
    """
    parents = {path.resolve().parent for path in paths}
    if len(parents) == 1:  # then that folder's own name says more than nothing
        parents = {parent.parent for parent in parents}
    common = Path(os.path.commonpath(parents))
    products = []
    for path in paths:
        made = record.load(path) or {}
        for part, kind in _kinds(path):
            name = part.resolve().relative_to(common).as_posix()
            products.append(Product(part, name, kind, made))
    return sorted(products, key=lambda product: natural(product.name))


def natural(text: str) -> list[Any]:
    """Sorts x2 before x10."""
    return [(not part.isdigit(), int(part) if part.isdigit() else part)
            for part in re.split(r"(\d+)", text) if part]  # fmt: skip


def _kinds(path: Path) -> Iterator[tuple[Path, str]]:
    if path.is_file():
        yield path, _kind(path)
        return
    kind = next((kind for name, kind in FOLDERS.items() if (path / name).is_file()), None)
    if kind == "classifier" and _is_segmenter(path):
        kind = "segmenter"
    files = without_clutter(path.glob("*.h5"))
    maps = sorted(area.parent for area in path.glob("*/area.csv"))  # of a folder of orthophotos
    if kind is None and not files and maps:
        yield from ((each, "map") for each in maps)
        return
    if kind is None and not files:
        raise StageError(f"{path}: expected a product with one of {list(FOLDERS)} or *.h5 in it")
    yield from [(path, kind)] if kind else [(file, _kind(file)) for file in files]


def _is_segmenter(folder: Path) -> bool:
    """Whether the measures are those of pixels: they are given by split, each with a mean IoU."""
    measures = read_json(folder / "metrics.json").get("validation")
    return isinstance(measures, dict) and "mean_iou" in measures


def is_segmentation(export: Product) -> bool:
    """Whether an export is of a network that gives a class for each pixel."""
    return read_json(export.path / "report.json").get("task") == "segmentation"


def _kind(path: Path) -> str:
    if path.suffix == ".safetensors":
        return "weights"
    if path.suffix == ".json":
        conformal.load(path)
        return "calibration"
    with patches.read(path) as source:
        if "features" in source and "grid" in source:
            return "features"
        if "image" in source and "mask" in source:
            return "tiles"
        if any(name in source for name in IMAGES):
            return "patches"
        names = sorted(source.file)
    raise StageError(
        f"{path}: expected one of {list(IMAGES)}, features and grid, or image and mask, "
        f"found {names}"
    )


def source_of(product: Product, products: list[Product], parameter: str = "src") -> Product | None:
    """The patch file that a product was made from, if it is among the products."""
    wanted = set(product.inputs.get(parameter, []))
    others = [other for other in products if other.kind == "patches" and other != product]
    return next((other for other in others if wanted and digest(other.path) in wanted), None)


@functools.cache
def digest(path: Path) -> str:
    """SHA-256 of a product as its record says, or of a file without one unless it is large."""
    if record.load(path) is None and path.stat().st_size >= record.LARGE:
        return ""
    return record.digest(path)


def seeds(product: Product, products: list[Product]) -> list[int]:
    """The seed of a product's record, else those of what it was made from."""
    if isinstance(seed := product.parameters.get("seed"), int):
        return [seed]
    parts = made_from(product, products)
    return sorted({seed for part in parts for seed in seeds(part, products)})


def made_from(product: Product, products: list[Product]) -> list[Product]:
    """Those of the products that were inputs of this one, by its record."""
    wanted = {digest for digests in product.inputs.values() for digest in digests}
    others = [other for other in products if other.made and other.made != product.made]
    return [other for other in others if other.made["output"]["sha256"] in wanted]


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object.

    Raises:
        StageError: missing, or not a JSON object.
    """
    try:
        content = documents.read_json(path)
    except (OSError, ValueError) as error:
        raise StageError(f"{path}: expected JSON ({error})") from None
    if not isinstance(content, dict):
        raise StageError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
