"""FP32 against INT8, and the network against what its trainer said."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import scores
from shared.errors import StageError
from shared.progress import say

COLUMNS = ("overall_accuracy", "average_accuracy", "kappa", "macro_f1", "weighted_f1")


def parity(found: NDArray[np.floating], trainer: Path, tolerance: float) -> float:
    """Largest difference between (N, K) logits and the trainer's, which lie in an NPY file.

    Raises:
        StageError: other shape, or a difference above the tolerance.
    """
    expected = scores.array(trainer, 2)
    if expected.shape != found.shape:
        raise StageError(f"{trainer}: expected shape {found.shape}, found {expected.shape}")
    apart = np.abs(found - expected)
    largest = float(apart.max())
    if largest > tolerance:
        row = int(apart.max(1).argmax())
        raise StageError(
            f"{trainer}: the ONNX gives other logits than its trainer, by {largest:.3g} in row "
            f"{row}, expected at most {tolerance:g} (--tolerance)"
        )
    return largest


def compare(
    folder: Path,
    labels: NDArray[np.integer],
    logits: dict[str, NDArray[np.floating]],
    files: dict[str, Path],
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Write the score files of both networks; one table of them and how they differ.

    Args:
        folder: FP32 files go here, those of INT8 to ``folder/int8``.
        labels: (N,) true classes.
        logits: (N, K) under "fp32" and "int8".
        files: ONNX files under the same names.
        classes: (K,) names.
    """
    found: dict[str, Any] = {}
    for name, values in logits.items():
        place = folder if name == "fp32" else folder / name
        place.mkdir(exist_ok=True)
        found[name] = scores.write(place, labels, scores.softmax(values), classes)
    one, other = logits["fp32"], logits["int8"]
    models = {
        name: {"file": files[name].name, "bytes": files[name].stat().st_size}
        | {key: found[name][key] for key in COLUMNS}
        for name in logits
    }
    return {
        "rows": len(labels),
        "models": models,
        "agreement": float((one.argmax(1) == other.argmax(1)).mean()),
        "largest_logit_difference": float(np.abs(one - other).max()),
        "recall_change": {
            name: found["int8"]["per_class"][name]["recall"] - entry["recall"]
            for name, entry in found["fp32"]["per_class"].items()
        },
    }


def write(folder: Path, report: dict[str, Any]) -> None:
    """report.json, and report.csv with one line per network."""
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    with (folder / "report.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["model", "file", "bytes", *COLUMNS])
        table.writerows([name, *entry.values()] for name, entry in report["models"].items())


def tell(report: dict[str, Any], times: dict[str, Any]) -> None:
    """One line of log per network."""
    for name, entry in report["models"].items():
        say(
            f"{name}: accuracy {100 * entry['overall_accuracy']:.2f} %, macro F1 "
            f"{100 * entry['macro_f1']:.2f} %, {entry['bytes'] / 1e6:.2f} MB, "
            f"median {times[name]['median_ms']:.2f} ms a row on one thread"
        )
