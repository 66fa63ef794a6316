"""What networks say of the pixels of test tiles: confusions, and how far their logits differ."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import progress, tiles
from shared.errors import StageError
from shared.models import Card
from shared.patches import Source
from stages.export import calibration, comparison, inference

FILE, GIVEN, FP32 = "confusions.json", "given", "fp32"
COLUMNS = ("mean_iou", "pixel_accuracy", "macro_f1")


@dataclass
class Tally:
    """Counts over tiles, which add up.

    Attributes:
        classes: K.
        confusion: (K, K) pixels, row = true class.
        pixels, same: of all pixels, also without a true class; those with the class of FP32.
        apart: largest difference of a logit from that of FP32.
        magnitude: the largest of the logits of FP32 without their signs.
    """

    classes: int
    confusion: NDArray[np.int64] = field(init=False)
    pixels: int = 0
    same: int = 0
    apart: float = 0.0
    magnitude: float = 0.0

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.classes, self.classes), np.int64)

    def add(
        self, logits: NDArray[np.float32], fp32: NDArray[np.float32], truth: NDArray[np.uint8]
    ) -> None:
        """Count one tile: two times (K, H, W) logits, and the (H, W) mask."""
        said = logits.argmax(0).astype(np.uint8)
        self.confusion += tiles.count_confusion(truth, said, self.classes)
        self.pixels += said.size
        self.same += int((said == fp32.argmax(0)).sum())
        self.apart = max(self.apart, float(np.abs(logits - fp32).max()))
        self.magnitude = max(self.magnitude, float(np.abs(fp32).max()))

    def as_json(self) -> dict[str, Any]:
        """For the file of the product."""
        return {
            "confusion": self.confusion.tolist(),
            "agreement": self.same / self.pixels,
            "largest_logit_difference": self.apart,
            "largest_logit": self.magnitude,
        }


def count(
    files: dict[str, Path], source: Source, card: Card, threads: int
) -> dict[str, dict[str, Any]]:
    """Run networks over all tiles of a file, one tile a call.

    Args:
        files: ONNX files by name, of which "fp32" is what the others are compared with.
        source: open tile file.
        card: how the networks want tiles.
        threads: tiles at once; changes time, not results.
    """
    sessions = {name: inference.open_session(path) for name, path in files.items()}
    tallies = {name: Tally(len(card.classes)) for name in files}

    def run(image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {
            name: session.run(None, {session.get_inputs()[0].name: image[None]})[0][0]
            for name, session in sessions.items()
        }

    rows = np.arange(source.total)
    with ThreadPoolExecutor(threads) as pool, progress.bar(len(rows), "test tiles") as bar:
        row = 0
        for images in calibration.iterate_blocks(source, card, rows):
            for start in range(0, len(images), threads):  # logits of few tiles are in memory
                for said in pool.map(run, images[start : start + threads]):
                    truth = source["mask"].raw(slice(row, row + 1))[0]
                    for name, tally in tallies.items():
                        tally.add(said[name], said[FP32], truth)
                    row += 1
                    bar.update()
    return {name: tally.as_json() for name, tally in tallies.items()}


def check_parity(told: dict[str, dict[str, Any]], path: Path, tolerance: float) -> float:
    """Largest difference between the given network and the exported one.

    Raises:
        StageError: it is more than the tolerance allows.
    """
    largest = float(told[GIVEN]["largest_logit_difference"])
    allowed = comparison.allow(tolerance, told[GIVEN]["largest_logit"])
    if not largest <= allowed:
        raise StageError(
            f"{path}: the exported network gives other logits than the given one, by {largest:.3g} "
            f"on the test tiles, expected at most {allowed:.3g} (--tolerance {tolerance:g})"
        )
    return largest


def compare(
    folder: Path, told: dict[str, dict[str, Any]], files: dict[str, Path], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Write metrics.json and confusion.csv of every network; one table of them and what INT8 loses.

    Args:
        folder: files of FP32 go here, those of another network to a folder of its name.
        told: of `count`, by name.
        files: ONNX files under the same names; "fp32" comes first.
        classes: (K,) names.
    """
    measured, entries = {}, {}
    for name, path in files.items():
        place = folder if name == FP32 else folder / name
        place.mkdir(exist_ok=True)
        confusion = np.array(told[name]["confusion"], np.int64)
        measured[name] = tiles.measure(confusion, classes)
        _write(place, measured[name], confusion, classes)
        entries[name] = {"file": path.name, "bytes": path.stat().st_size}
        entries[name] |= {key: measured[name][key] for key in COLUMNS}
        if name != FP32:
            lost = measured[FP32]["mean_iou"] - measured[name]["mean_iou"]
            kept = ("agreement", "largest_logit_difference")
            entries[name] |= {key: told[name][key] for key in kept} | {"points_lost": 100 * lost}
    return {
        "models": entries,
        "per_class": measured[FP32]["per_class"],
        "per_class_change": {key: comparison.changes(measured, key) for key in ("iou", "f1")},
    }


def _write(
    folder: Path, measured: dict[str, Any], confusion: NDArray[np.int64], classes: tuple[str, ...]
) -> None:
    text = json.dumps(measured, indent=1, ensure_ascii=False) + "\n"
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    with (folder / "confusion.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *classes])
        table.writerows([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))


def characterise(counts: NDArray[np.integer]) -> NDArray[np.intp]:
    """(N,) the class that marks each tile: of which it has most, beside how frequent the class is.

    Args:
        counts: (N, K) pixels.
    """
    usual = np.maximum(counts.sum(0), 1)
    return (counts / usual).argmax(1)
