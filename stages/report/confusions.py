"""What each classifier takes for what: recall by class, confusions, curves, members."""

import csv
from pathlib import Path
from typing import Any

from shared import model
from shared.errors import StageError
from stages.report import datasets, pictures
from stages.report.classifiers import Classifier


def recalls(classifiers: list[Classifier]) -> list[dict[str, Any]]:
    """Tables of recall, classes down and classifiers across, one for each set of classes."""
    tables: dict[tuple[str, ...], list[Classifier]] = {}
    for classifier in (c for c in classifiers if c.folder):
        tables.setdefault(tuple(classifier.metrics["classes"]), []).append(classifier)
    return [
        {
            "names": [{"role": c.role, "name": c.name} for c in found],
            "lines": [
                key
                | {
                    "rows": found[0].metrics["per_class"][name]["rows"],
                    "recall": [c.metrics["per_class"][name]["recall"] for c in found],
                }
                for name, key in zip(classes, datasets.keys(classes), strict=True)
            ],
        }
        for classes, found in tables.items()
    ]


def detail(classifier: Classifier) -> dict[str, Any]:
    """Members, curves and confusions of one classifier."""
    folder, metrics = classifier.folder, classifier.metrics
    assert folder is not None
    cards = model.load(folder) if (folder / model.NAME).is_file() else []
    alone = metrics.get("member_accuracy") or {}
    return {
        "role": classifier.role,
        "name": classifier.name,
        "metrics": {k: v for k, v in metrics.items() if isinstance(v, float)},
        "members": [
            {"name": Path(c.file).stem, "bands": c.bands, "accuracy": alone.get(c.file)}
            for c in cards
        ],
        "parts": metrics.get("members") or [],
        "curves": _picture(folder / "curves.png"),
        "classes": datasets.keys(tuple(metrics["classes"])),
        "confusion": confusion(folder / "confusion.csv"),
    }


def _picture(path: Path) -> str:
    return pictures.file_uri(path) if path.is_file() else ""


def confusion(path: Path) -> list[list[dict[str, Any]]]:
    """(K, K) cells of a confusion matrix: count, and share of the true class."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            counts = [[int(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]]
    except ValueError as error:
        raise StageError(f"{path}: expected counts ({error})") from None
    return [[{"count": n, "share": n / max(sum(row), 1)} for n in row] for row in counts]
