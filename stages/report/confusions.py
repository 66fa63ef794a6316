"""What each classifier takes for what: values by class, confusions, curves, members."""

import csv
from pathlib import Path
from typing import Any

from shared import models
from shared.errors import StageError
from stages.report import classifiers, datasets, pictures, sizes
from stages.report.classifiers import Classifier


def choose_classifiers(graded: list[Classifier]) -> list[Classifier]:
    """The most accurate ensemble and the students."""
    ensembles = [c for c in graded if c.role in classifiers.ENSEMBLES]
    best = max(ensembles, key=lambda c: c.accuracy, default=None)
    return [*([best] if best else []), *(c for c in graded if c.role == "student")]


def by_class(graded: list[Classifier]) -> list[dict[str, Any]]:
    """Tables of precision, recall and F1, classes down; one for each set of classes."""
    return [
        {
            "names": [{"role": c.role, "name": c.name} for c in group],
            "lines": [
                key
                | {
                    "rows": group[0].metrics["per_class"][name]["rows"],
                    "values": [c.metrics["per_class"][name] for c in group],
                }
                for name, key in zip(classes, datasets.keys(classes), strict=True)
            ],
        }
        for classes, group in _by_classes(graded).items()
    ]


def recalls(graded: list[Classifier]) -> list[dict[str, Any]]:
    """Tables of recall, classifiers down and classes across, one for each set of classes."""
    return [
        {
            "classes": datasets.keys(classes),
            "rows": [group[0].metrics["per_class"][name]["rows"] for name in classes],
            "lines": [
                {
                    "role": c.role,
                    "name": c.name,
                    "average": c.metrics["average_accuracy"],
                    "recall": [c.metrics["per_class"][name]["recall"] for name in classes],
                }
                for c in group
            ],
        }
        for classes, group in _by_classes(graded).items()
    ]


def _by_classes(graded: list[Classifier]) -> dict[tuple[str, ...], list[Classifier]]:
    groups: dict[tuple[str, ...], list[Classifier]] = {}
    for classifier in (c for c in graded if c.folder):
        groups.setdefault(tuple(classifier.metrics["classes"]), []).append(classifier)
    return groups


def detail(classifier: Classifier, shown: bool) -> dict[str, Any]:
    """Members, curves and confusions of one classifier.

    Args:
        classifier: one with a folder.
        shown: whether its part of the page is open at first.
    """
    folder, metrics = classifier.folder, classifier.metrics
    assert folder is not None
    return {
        "role": classifier.role,
        "name": classifier.name,
        "shown": shown,
        "accuracy": classifier.accuracy,
        "metrics": {k: v for k, v in metrics.items() if isinstance(v, float)},
        "members": _members(classifier),
        "parts": metrics.get("members") or [],
        "curves": _picture(folder / "curves.png"),
        "classes": datasets.keys(tuple(metrics["classes"])),
        "confusion": confusion(folder / "confusion.csv"),
    }


def _members(classifier: Classifier) -> list[dict[str, Any]]:
    """Networks with their sizes; of products without a table of them, what the cards say."""
    folder = classifier.folder
    assert folder is not None
    if networks := sizes.read(folder):
        return [{**network, "name": Path(network["file"]).stem} for network in networks]
    cards = models.load(folder) if (folder / models.MODEL_FILE).is_file() else []
    alone = classifier.metrics.get("member_accuracy") or {}
    return [
        {"name": Path(c.file).stem, "bands": c.bands, "accuracy": alone.get(c.file)} for c in cards
    ]


def _picture(path: Path) -> str:
    return pictures.file_uri(path) if path.is_file() else ""


def confusion(path: Path) -> list[list[dict[str, Any]]]:
    """(K, K) cells of a confusion matrix: count, and share of the true class."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            counts = [[int(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]]
    except ValueError as error:
        raise StageError(f"{path}: expected counts ({error})") from None
    return [[{"count": n, "share": n / max(sum(row), 1)} for n in row] for row in counts]
