"""The products that are compared: what each one scores, and which repetitions belong together."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models import score_folders, scores
from shared.runs import record

TWIN = "baseline"  # folder of a student's twin, which had no teacher
LEAST = 1e-7  # of a probability, before its logarithm


@dataclass(frozen=True)
class Quality:
    """How good a classifier is on the test split.

    Attributes:
        accuracy: share of rows that are right, 0 to 1.
        macro_f1: mean over the classes, 0 to 1.
        loss: mean cross-entropy, in nats.
    """

    accuracy: float
    macro_f1: float
    loss: float


@dataclass(frozen=True)
class Run:
    """One product.

    Attributes:
        name: of its folder.
        group: its name without the seed; products of one group differ in the seed only.
        seed: None where the name has none.
        folder: the product.
        scores: its rows and what it says of them.
        quality: of it.
        twin: of the same student without a teacher, if there is one.
        parameters: of all its networks, None where that is not known.
        macs: multiplications with their additions for one row, likewise.
        setting: parameters of the plan that it was made by, without the seed; empty without record.
    """

    name: str
    group: str
    seed: int | None
    folder: Path
    scores: score_folders.ScoreFolder
    quality: Quality
    twin: Quality | None
    parameters: int | None
    macs: int | None
    setting: dict[str, Any]


def read(folders: Sequence[Path]) -> list[Run]:
    """Read and check all products.

    Raises:
        StageError: one is no score folder; they have other classes or rows; two are one repetition.
    """
    runs = [read_run(folder) for folder in folders]
    score_folders.check_agreement([run.scores for run in runs])
    seen = dict[tuple[str, int | None], Run]()
    for run in runs:
        other = seen.setdefault((run.group, run.seed), run)
        if other is not run:
            raise StageError(
                f"--src: expected products of different names, found {other.folder} and "
                f"{run.folder}: both are {run.name}"
            )
    return runs


def read_run(folder: Path) -> Run:
    """One product, with its twin if it has one."""
    given, twin = score_folders.read(folder), folder / TWIN
    made = record.load(folder)
    setting = dict(made["plan"].get("parameters", {})) if made else {}
    group, seed = split_name(folder.name, setting.pop("seed", None))
    costs = read_costs(folder / "models.csv")
    return Run(
        name=folder.name, group=group, seed=seed, folder=folder, scores=given,
        quality=measure(given),
        twin=measure(score_folders.read(twin)) if twin.is_dir() else None,
        parameters=costs[0], macs=costs[1], setting=setting,
    )  # fmt: skip


def split_name(name: str, seed: object = None) -> tuple[str, int | None]:
    """Group and seed of a product: "simple-net-42" is the repetition 42 of "simple-net".

    Args:
        name: of the folder.
        seed: by which it was made, where that is known: a name that ends with another number has
            none in it, as in "resnet-18".
    """
    found = re.fullmatch(r"(.+)-(\d+)", name)
    if not found or (isinstance(seed, int) and seed != int(found[2])):
        return name, None
    return found[1], int(found[2])


def measure(given: score_folders.ScoreFolder) -> Quality:
    """Accuracy, macro F1 and loss of a score folder on its test rows."""
    matrix = scores.confusion(given.labels, given.scores)
    figures = scores.metrics(matrix, given.classes)
    return Quality(
        figures["overall_accuracy"], figures["macro_f1"], cross_entropy(given.labels, given.scores)
    )


def cross_entropy(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Mean of -log p of the true class, p being 1e-7 at least: what is stored has seven digits.

    Args:
        labels: (N,) zero-based true classes.
        probabilities: (N, K).
    """
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, LEAST)).mean())


def read_costs(path: Path) -> tuple[int | None, int | None]:
    """Parameters and MACs of all networks of a product together; None where one is not known.

    Raises:
        StageError: a cell is no whole number.
    """
    if not path.is_file():
        return None, None
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return _sum(path, lines, "parameters"), _sum(path, lines, "macs")


def _sum(path: Path, lines: list[dict[str, str]], column: str) -> int | None:
    cells = [line.get(column) or "" for line in lines]
    if not all(cells):
        return None
    try:
        return sum(map(int, cells)) if cells else None
    except ValueError:
        raise StageError(f"{path}: {column}: expected whole numbers, found {cells}") from None


def differing(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Parameters that are not the same in all products, with their value in each; "" if unknown."""
    names = dict.fromkeys(name for run in runs for name in run.setting)
    told = {name: [_tell(run.setting, name) for run in runs] for name in names}
    return {name: values for name, values in told.items() if len({*values}) > 1}


def _tell(setting: dict[str, Any], name: str) -> str:
    value = setting.get(name)
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
