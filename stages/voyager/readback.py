"""The bundle as the SDK will read it, PNG to class, beside the patch file it was made from."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import models, progress
from shared.errors import StageError
from shared.models import Card, scores
from shared.patches import Source
from shared.pictures import read_picture
from shared.voyager import Network, open_bundle, preprocess

BATCH = 64  # rows in memory at once
NOTABLE = 0.5  # points of accuracy from which on the reason is looked for


def readback(folder: Path, source: Source, card: Card, threads: int) -> dict[str, Any]:
    """Accuracy of the bundle's pictures by its own YAML, and of the same rows of the patch file.

    Args:
        folder: finished bundle; the pictures in val/ are named by their row.
        source: the patch file that val/ was made from.
        card: how the network wants patches.
        threads: processors to use.

    Raises:
        StageError: a picture does not hold its row, or the YAML prepares it in another way than
            the network was trained with.
    """
    bundle = open_bundle(folder)
    network, files = Network(bundle.network, threads), bundle.pictures()
    labels = np.array([k for _, k in files])
    logits: dict[str, list[NDArray[np.float32]]] = {"hdf5": [], "rounded": [], "png": []}
    with progress.bar(len(files), "read back") as bar:
        for start in range(0, len(files), BATCH):
            paths = [path for path, _ in files[start : start + BATCH]]
            pictures = np.stack([read_picture(path) for path in paths])
            values = _values(source, card, paths, pictures)
            logits["hdf5"].append(network(models.preprocess(values, card)))
            rounded = models.preprocess_levels(pictures.astype(np.float32), card)
            by_yaml = preprocess(pictures, bundle.steps)
            _same_input(folder, by_yaml, rounded, card)
            logits["rounded"].append(network(rounded))
            logits["png"].append(network(by_yaml))
            bar.update(len(paths))
    return compare(labels, {k: np.concatenate(v) for k, v in logits.items()}, card.classes)


def _values(
    source: Source, card: Card, paths: list[Path], pictures: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(N, H, W, 3) of the rows that the file names give, which the pictures must hold."""
    rows = [int(path.stem) for path in paths]
    values = np.concatenate([models.read_scaled(source, card.bands, slice(i, i + 1)) for i in rows])
    scaled = models.to_range(values, card)
    apart = np.abs(np.clip(scaled, 0, 255) - pictures).reshape(len(rows), -1).max(1)
    if (worst := int(apart.argmax())) >= 0 and apart[worst] > 0.51:
        what = f"differs by {apart[worst]:.3g} of 255 from row {rows[worst]} of {source.path}"
        raise StageError(f"{paths[worst]}: {what}: other bands, order or scale")
    return values


def _same_input(
    folder: Path, by_yaml: NDArray[np.float32], by_card: NDArray[np.float32], card: Card
) -> None:
    """Refuse another resize, scale, mean or std.

    A network that was trained on 8-bit pictures sees the very same levels. For others, OpenCV's
    resize of 8 bits rounds by up to half a level, or cuts off up to a whole one.
    """
    level = 1 / 255 / np.asarray(card.std)[:, None, None]
    apart = (np.abs(by_yaml - by_card) / level).max()
    if not apart <= (0.01 if card.eight_bit else 1.02):
        raise StageError(
            f"{folder}: the YAML makes an input {apart:.3g} of 255 levels away from the one that "
            "the network was trained with: another resize, scale, mean or std"
        )


def compare(
    labels: NDArray[np.integer], logits: dict[str, NDArray[np.float32]], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Accuracies, agreement, and the step that costs accuracy when it is notable.

    Args:
        labels: (N,) true classes.
        logits: (N, K) from the patch file ("hdf5"), from its values rounded to 8 bits
            ("rounded"), and from the pictures by the YAML ("png").
        classes: (K,) names.
    """
    metrics = {
        name: scores.metrics(scores.confusion(labels, v), classes) for name, v in logits.items()
    }
    points = {name: 100 * entry["overall_accuracy"] for name, entry in metrics.items()}
    lost, rounding = points["hdf5"] - points["png"], points["hdf5"] - points["rounded"]
    why = None
    if abs(lost) > NOTABLE:
        why = (
            f"rounding the pixels to 8 bits takes {rounding:.2f} points, resizing in 8 bits "
            f"{lost - rounding:.2f}"
        )
    keys = ("overall_accuracy", "average_accuracy", "macro_f1")
    return {
        "rows": len(labels),
        "accuracy": {name: {key: entry[key] for key in keys} for name, entry in metrics.items()},
        "points_lost": lost,
        "agreement": float((logits["hdf5"].argmax(1) == logits["png"].argmax(1)).mean()),
        "why": why,
    }
