"""Classifiers: every set of test scores among the products, and what is common to their tables."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared import lcz
from shared.errors import StageError
from shared.models import scores
from stages.report.inputs import Product, is_segmentation, read_json

ROLES = {"teacher": "teacher", "sumrule": "sumrule", "fusion": "fusion", "distill": "student"}
ALONE = "student without a teacher"
BEFORE = "student before fine-tuning"  # where it was fine-tuned for INT8
TOPOLOGY = "topology alone"  # fusion without its image branch
ENSEMBLES = ("teacher", "sumrule", "fusion", TOPOLOGY)
FP32, INT8, PNG = "FP32 ONNX", "INT8 ONNX", "PNG bundle"
CHAIN = (BEFORE, "student", ALONE, FP32, INT8, PNG)
ORDER = (*ENSEMBLES, *CHAIN)
NEEDED = ("classes", "rows", "overall_accuracy", "average_accuracy", "per_class")


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

    @property
    def accuracy(self) -> float:
        """Overall accuracy, 0 to 1."""
        return float(self.metrics["overall_accuracy"])

    @property
    def known(self) -> bool:
        """Whether its classes are LCZ classes, so that there are published figures."""
        return tuple(self.metrics.get("classes", lcz.CLASSES)) == lcz.CLASSES


def find(products: list[Product]) -> list[Classifier]:
    """All classifiers, in the order of the pipeline.

    Raises:
        StageError: metrics that are not what a score folder holds.
    """
    graded = []
    for product in products:
        path = product.path
        if product.kind == "classifier":
            graded.append(_read(_role(product), path, product))
            for role, part in ((BEFORE, path / "float"), (ALONE, path / "baseline")):
                if (part / "metrics.json").is_file():
                    graded.append(_read(role, part, product))
        elif product.kind == "export" and not is_segmentation(product):
            if (path / "metrics.json").is_file():
                graded.append(_read(FP32, path, product))
            folders = sorted(file.parent for file in path.glob("int8*/metrics.json"))
            graded += [_read(INT8, folder, product) for folder in folders]
        elif product.kind == "bundle":
            back = read_json(path / "readback.json")
            if png := back.get("accuracy", {}).get("png"):
                graded.append(Classifier(PNG, None, product, back | png))
    return sorted(graded, key=_place)


def _role(product: Product) -> str:
    if product.stage == "fusion" and product.parameters.get("image") is False:
        return TOPOLOGY
    return ROLES.get(product.stage, product.stage or "classifier")


def _place(classifier: Classifier) -> int:
    return ORDER.index(classifier.role) if classifier.role in ORDER else len(ORDER)


def _read(role: str, folder: Path, product: Product) -> Classifier:
    metrics = read_json(folder / "metrics.json")
    if missing := [key for key in NEEDED if key not in metrics]:
        raise StageError(f"{folder / 'metrics.json'}: expected {missing}, found {list(metrics)}")
    return Classifier(role, folder, product, metrics)


def line(classifier: Classifier) -> dict[str, Any]:
    """What every table of accuracies shows of a classifier."""
    metrics = classifier.metrics
    keys = (
        "average_accuracy", "kappa", "macro_f1", "weighted_precision", "weighted_f1",
        "expected_calibration_error",
    )  # fmt: skip
    return {
        "role": classifier.role,
        "name": classifier.name,
        "accuracy": classifier.accuracy,
        "interval": interval(classifier.accuracy, int(metrics["rows"])),
        "rows": int(metrics["rows"]),
    } | {key: metrics.get(key) for key in keys}


def agreement(one: Classifier, other: Classifier) -> float | None:
    """Share of test rows for which both say the same class; None when the rows are not the same.

    Raises:
        StageError: a score file that is none.
    """
    if one.folder is None or other.folder is None:
        return None
    files = [
        [folder / f"test_{name}.npy" for name in ("labels", "scores")]
        for folder in (one.folder, other.folder)
    ]
    if not all(path.is_file() for pair in files for path in pair):
        return None
    truths = [scores.read_array(labels, 1) for labels, _ in files]
    said = [scores.read_array(path, 2).argmax(1) for _, path in files]
    if not np.array_equal(truths[0], truths[1]) or len(said[0]) != len(said[1]):
        return None
    return float((said[0] == said[1]).mean())


def interval(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share of so many rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return middle - half, middle + half
