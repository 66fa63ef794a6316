"""What an ensemble leaves: sizes and accuracies of its networks, curves with the epoch kept."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import image
from numpy.typing import NDArray

from shared import models
from shared.models import figures
from shared.training.records import results
from shared.training.records.results import Result

CLASSES = ("road", "roof", "tree")
LABELS = torch.tensor([0, 1, 2, 1])
SERIES = {"train loss": [1.0, 0.5], "train accuracy": [0.5, 0.6], "validation accuracy": [0.6, 0.5]}


def result(number: int, said: list[int], **more: Any) -> Result:
    """A member that says these classes on both splits."""
    card = models.Card(
        f"member-{number:02}.onnx", "resnet18", ("B4", "B3", "B2"), (0.5,) * 3, (0.2,) * 3, 64,
        "bilinear", CLASSES, 7 * (number - 1),
    )  # fmt: skip
    logits = 9 * np.eye(3, dtype=np.float32)[said]
    return Result(card, logits, logits, SERIES, 1e-6, **more)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A member of known size and a chosen epoch, and one of neither."""
    sized = result(1, [0, 1, 2, 1], parameters=11_185_233, macs=148_000_000, kept=1)
    results.write_score_folder(
        tmp_path, [sized, result(2, [0, 1, 0, 0])], (LABELS, LABELS), seed=42
    )
    return tmp_path


def test_models_table(two: Path) -> None:
    one, other = lines(two / "models.csv")
    assert one == {
        "file": "member-01.onnx", "architecture": "resnet18", "bands": "B4 B3 B2", "features": "0",
        "size": "64", "parameters": "11185233", "macs": "148000000", "accuracy": "1.0",
    }  # fmt: skip
    assert (other["parameters"], other["macs"]) == ("", "")  # not known
    assert (other["features"], other["accuracy"]) == ("7", "0.5")


def test_metrics_say_how_many_and_what_more(two: Path) -> None:
    metrics = json.loads((two / "metrics.json").read_text())
    assert (metrics["networks"], metrics["seed"]) == (2, 42)
    assert metrics["member_accuracy"] == {"member-01.onnx": 1.0, "member-02.onnx": 0.5}


def test_curves_table(two: Path) -> None:
    table = lines(two / "curves.csv")
    assert [(line["network"], line["epoch"]) for line in table[1:3]] == [
        ("member-01", "2"),
        ("member-02", "1"),
    ]
    assert table[1]["validation accuracy"] == "0.5"


def test_nothing_trained_has_no_curves(tmp_path: Path) -> None:
    results.write_curves(tmp_path, {"member-01": {}})
    assert list(tmp_path.iterdir()) == []


def drawn(path: Path, kept: dict[str, int] | None) -> NDArray[np.float32]:
    figures.curves(path, {q: {"student": values} for q, values in SERIES.items()}, kept)
    picture: NDArray[np.float32] = image.imread(path)
    return picture


def test_the_epoch_kept_is_marked(tmp_path: Path) -> None:
    plain, first, other = (drawn(tmp_path / "a.png", k) for k in (None, {"student": 1}, {"x": 2}))
    assert first.shape[0] == plain.shape[0]
    assert first.shape[1] == other.shape[1]
    assert (first != other).any()


def test_one_panel_a_measure(tmp_path: Path) -> None:
    wide = drawn(tmp_path / "two.png", None).shape[1]
    figures.curves(tmp_path / "one.png", {"train loss": {"student": [1.0]}})
    assert image.imread(tmp_path / "one.png").shape[1] < 0.7 * wide


def test_confusion_shades_shares_of_the_row(tmp_path: Path) -> None:
    """Rows of 4 and of 400 with the same shares have the same shades; no row is blank."""
    matrix = np.array([[3, 1, 0], [100, 300, 0], [0, 0, 0]])
    figures.confusion(tmp_path / "a.png", matrix, CLASSES)
    pixels = (255 * image.imread(tmp_path / "a.png")[..., :3]).round().astype(int)
    blues = [tuple(pixel) for pixel in pixels.reshape(-1, 3) if pixel[2] > pixel[0] + 20]
    counts = {colour: blues.count(colour) for colour in set(blues)}
    dark, light = sorted(sorted(counts, key=counts.__getitem__)[-2:])  # the four cells, two by two
    assert counts[dark] > 1000 < counts[light]
    assert counts[dark] == pytest.approx(counts[light], rel=0.2)
