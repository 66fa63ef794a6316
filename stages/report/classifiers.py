"""Classifiers: which there are, and one line each in the order of the pipeline."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import lcz
from shared.errors import StageError
from stages.report import published
from stages.report.found import Product, made_from, read_json, seeds

ROLES = {"teacher": "teacher", "sumrule": "sumrule", "fusion": "fusion", "distill": "student"}
ALONE = "student without a teacher"
TOPOLOGY = "topology alone"  # fusion without its image branch
ENSEMBLES = ("teacher", "sumrule", "fusion", TOPOLOGY)
ORDER = (*ENSEMBLES, "student", ALONE, "INT8", "PNG bundle")


@dataclass(frozen=True)
class Classifier:
    """One set of test scores.

    Attributes:
        role: place in the pipeline, one of ORDER, or the stage's own name.
        folder: score folder, or None for one whose only trace is in ``metrics``.
        product: what it belongs to.
        metrics: content of metrics.json, or its like.
    """

    role: str
    folder: Path | None
    product: Product
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the product, with the part of it that this is."""
        inner = self.folder.relative_to(self.product.path).as_posix() if self.folder else "."
        return self.product.name + ("" if inner == "." else f"/{inner}")


def find(products: list[Product]) -> list[Classifier]:
    """All classifiers, in the order of the overview.

    Raises:
        StageError: metrics that are not what a score folder holds.
    """
    found = []
    for product in products:
        if product.kind == "classifier":
            found.append(_read(_role(product), product.path, product))
            if (product.path / "baseline" / "metrics.json").is_file():
                found.append(_read(ALONE, product.path / "baseline", product))
        elif product.kind == "export" and (product.path / "int8" / "metrics.json").is_file():
            found.append(_read("INT8", product.path / "int8", product))
        elif product.kind == "bundle":
            back = read_json(product.path / "readback.json")
            png = back.get("accuracy", {}).get("png")
            if png:
                found.append(Classifier("PNG bundle", None, product, png | {"rows": back["rows"]}))
    return sorted(found, key=_place)


def _role(product: Product) -> str:
    if product.stage == "fusion" and product.parameters.get("image") is False:
        return TOPOLOGY
    return ROLES.get(product.stage, product.stage or "classifier")


def _place(classifier: Classifier) -> int:
    return ORDER.index(classifier.role) if classifier.role in ORDER else len(ORDER)


def _read(role: str, folder: Path, product: Product) -> Classifier:
    metrics = read_json(folder / "metrics.json")
    needed = ("classes", "rows", "overall_accuracy", "average_accuracy", "per_class")
    if missing := [key for key in needed if key not in metrics]:
        raise StageError(f"{folder / 'metrics.json'}: expected {missing}, found {list(metrics)}")
    return Classifier(role, folder, product, metrics)


def overview(classifier: Classifier, products: list[Product]) -> dict[str, Any]:
    """One line of the accuracy table."""
    metrics, product = classifier.metrics, classifier.product
    rows, accuracy = int(metrics["rows"]), float(metrics["overall_accuracy"])
    members = metrics.get("members") or metrics.get("member_accuracy") or ()
    known = tuple(metrics.get("classes", lcz.CLASSES)) == lcz.CLASSES
    parts = [(part.stage, part.parameters) for part in made_from(product, products)]
    theirs = published.accuracy(classifier.role, product.parameters, parts)
    return {
        "role": classifier.role,
        "name": classifier.name,
        "members": len(members) if classifier.role in ENSEMBLES else "",
        "accuracy": accuracy,
        "interval": interval(accuracy, rows),
        "average": metrics["average_accuracy"],
        "kappa": metrics.get("kappa"),
        "f1": metrics.get("macro_f1"),
        "rows": rows,
        "seed": ", ".join(map(str, seeds(product, products))),
        "published": theirs if known else "",
    }


def interval(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share of so many rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return middle - half, middle + half
