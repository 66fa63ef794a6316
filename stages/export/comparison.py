"""FP32 against INT8, and the network against what its trainer said."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import onnx_graphs
from shared.errors import StageError
from shared.models import scores

Logits = NDArray[np.floating]
COLUMNS = ("overall_accuracy", "average_accuracy", "kappa", "macro_f1", "weighted_f1")
TOP = 5


def check_parity(logits: Logits, expected: Logits, trainer: Path, tolerance: float) -> float:
    """Largest difference between (N, K) logits and the trainer's outputs.

    Args:
        logits: of the exported network.
        expected: (N, K) logits, probabilities or their logarithms.
        trainer: the file that they come from.
        tolerance: largest difference that is accepted, as for `allow`.

    Raises:
        StageError: other shape, or a larger difference.
    """
    if expected.shape != logits.shape:
        raise StageError(f"{trainer}: expected shape {logits.shape}, found {expected.shape}")
    apart = np.abs(onnx_graphs.in_form_of(expected, logits) - expected)
    largest, allowed = float(apart.max()), allow(tolerance, float(np.abs(expected).max()))
    if not largest <= allowed:  # which also holds where a logit is no number
        row = int(apart.max(1).argmax())
        raise StageError(
            f"{trainer}: the ONNX gives other logits than its trainer, by {largest:.3g} in row "
            f"{row}, expected at most {allowed:.3g} (--tolerance {tolerance:g})"
        )
    return largest


def allow(tolerance: float, magnitude: float) -> float:
    """The largest difference of logits that is accepted: sums of float32 are as good as their size.

    Args:
        tolerance: of logits between -1 and 1.
        magnitude: the largest of the logits without their signs.
    """
    return tolerance * max(1.0, magnitude)


def top_k_accuracy(labels: NDArray[np.integer], logits: Logits, places: int = TOP) -> float:
    """Share of rows whose class is among the highest logits, 0 to 1.

    Args:
        labels: (N,) true classes.
        logits: (N, K); of equal ones, the class before the other is the higher.
        places: how many of the highest count.
    """
    own = np.take_along_axis(logits, labels[:, None], 1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = (logits > own).sum(1) + ((logits == own) & before).sum(1)
    return float((rank < places).mean())


def compare_networks(
    folder: Path,
    labels: NDArray[np.integer],
    logits: dict[str, Logits],
    files: dict[str, Path],
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Write the score files of every network; one table of them and how they differ.

    Args:
        folder: files of the first network go here, those of another to a folder of its name.
        labels: (N,) true classes.
        logits: (N, K) under "fp32", which comes first, "int8", and further ones.
        files: ONNX files under the same names.
        classes: (K,) names.
    """
    metrics: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    for name, values in logits.items():
        place = folder if name == "fp32" else folder / name
        place.mkdir(exist_ok=True)
        more = {"top5_accuracy": top_k_accuracy(labels, values)}
        metrics[name] = scores.write(place, labels, scores.softmax(values), classes, **more)
        models[name] = {"file": files[name].name, "bytes": files[name].stat().st_size} | more
        models[name] |= {key: metrics[name][key] for key in COLUMNS}
        if name != "fp32":
            models[name] |= logit_differences(logits["fp32"], values)
            lost = metrics["fp32"]["overall_accuracy"] - metrics[name]["overall_accuracy"]
            models[name]["points_lost"] = 100 * lost
    return {
        "rows": len(labels),
        "models": models,
        **logit_differences(logits["fp32"], logits["int8"]),
        "per_class": metrics["fp32"]["per_class"],
        "per_class_change": {key: changes(metrics, key) for key in ("recall", "f1")},
    }


def logit_differences(one: Logits, other: Logits) -> dict[str, float]:
    """How often two networks name the same class, and how far their (N, K) logits differ."""
    return {
        "agreement": float((one.argmax(1) == other.argmax(1)).mean()),
        "largest_logit_difference": float(np.abs(one - other).max()),
    }


def changes(metrics: dict[str, Any], key: str) -> dict[str, dict[str, float]]:
    """By network and class, a value less that of FP32; without classes that one of them has not."""
    before = metrics["fp32"]["per_class"]
    return {
        name: {
            label: e[key] - before[label][key]
            for label, e in entry["per_class"].items()
            if None not in (e[key], before[label][key])
        }
        for name, entry in metrics.items()
        if name != "fp32"
    }
