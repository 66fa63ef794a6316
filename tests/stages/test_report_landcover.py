"""report: tile files, and networks that give each pixel a class."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import models, tiles
from shared.errors import StageError
from stages.report import inputs, maps, segmentation
from tests import tile_files
from tests.stages.test_report import Balanced, command

PNG = b"\x89PNG\r\n\x1a\n"


def segmented(folder: Path, classes: tuple[str, ...] = tiles.CLASSES) -> Path:
    """What segment leaves: measures of two splits, a confusion matrix, curves, examples."""
    (folder / "examples").mkdir(parents=True)
    rng = np.random.default_rng(1)
    matrix = rng.integers(10_000, 90_000, (len(classes),) * 2) + 400_000 * np.eye(
        len(classes), dtype=int
    )
    matrix[3], matrix[:, 3] = 0, 0  # water: nowhere
    told: dict[str, Any] = {"classes": classes, "trained_epochs": 9, "kept_epoch": 7}
    told |= {
        split: {"loss": 1.5, **tiles.measure(matrix, classes)} for split in segmentation.SPLITS
    }
    (folder / "metrics.json").write_text(json.dumps(told | {"confusion_of": "test"}))
    with (folder / "confusion.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *classes])
        table.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))
    for name in ("curves.png", "examples/tile-00003.png", "examples/tile-00012.png"):
        (folder / name).write_bytes(PNG)
    (folder / "network.onnx").write_bytes(b"")
    card = models.Card(
        "network.onnx", "pyramid-tiny", ("B4", "B3", "B2"), (0.4, 0.4, 0.3), (0.1, 0.1, 0.1), 512,
        "bilinear", classes, task="segmentation", colours=tiles.COLOURS,
    )  # fmt: skip
    models.save(folder, [card])
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three splits of one folder."""
    folder = tmp_path / "landcover" / "orthophoto"
    folder.mkdir(parents=True)
    for number, split in enumerate(("testing", "training", "validation")):
        tile_files.write(folder / f"{split}.h5", tile_files.noise(4 + number, 32, number))
    return folder


def test_page_of_land_cover_alone(tmp_path: Path, files: Path) -> None:
    network = segmented(tmp_path / "segment" / "swin")
    page = command(tmp_path / "report.html", files, network)
    text = " ".join(Balanced(page).text)
    assert "Tiles: share of each class" in text
    assert text.index("orthophoto/training.h5") < text.index("orthophoto/validation.h5")
    assert text.index("orthophoto/validation.h5") < text.index("orthophoto/testing.h5")
    assert "epoch 7 of 9 was kept" in text
    assert "Confusions of the test split" in text
    assert page.count("data:image/png;base64,") == 3  # curves and two examples
    assert "no bundle yet" not in text  # the chain of classifiers has nothing to do with it
    told = json.loads((network / "metrics.json").read_text())["test"]
    assert f"{100 * told['per_class']['building']['iou']:.2f}" in text
    assert f"mean {100 * told['mean_iou']:.2f}" in text
    assert 'style="background:#614a4a"' in page


def test_a_class_without_a_pixel_has_a_dash(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "segment" / "swin")
    (product,) = inputs.collect((folder,))
    assert product.kind == "segmenter"
    told = segmentation.describe(product)
    water = told["lines"][3]
    assert (water["title"], [value["iou"] for value in water["splits"]]) == ("water", [None, None])
    page = command(tmp_path / "report.html", folder)
    assert '<td class="n"><strong>–</strong></td>' in page


def test_several_networks_are_put_side_by_side(tmp_path: Path) -> None:
    folders = [segmented(tmp_path / "segment" / name) for name in ("a", "b")]
    text = " ".join(Balanced(command(tmp_path / "report.html", *folders)).text)
    assert text.count("pyramid-tiny test") == 2


def test_shares_of_tiles_by_hand(tmp_path: Path) -> None:
    image, mask = np.zeros((2, 2, 2, 3), np.uint8), np.zeros((2, 2, 2), np.uint8)
    mask[1] = [[1, 1], [1, 255]]
    file = tile_files.write(tmp_path / "other.h5", (image, mask), ("soil", "roof"))
    (product,) = inputs.collect((file,))
    (table,) = segmentation.describe_tiles([product])
    (told,) = table["files"]
    assert told["shares"] == {"soil": round(4 / 7, 6), "roof": round(3 / 7, 6)}
    assert told["rows_without"] == {"soil": 1, "roof": 1}
    assert (told["rows"], told["side"], told["labelled"]) == (2, 2, 0.875)


def test_measures_of_another_form_are_refused(tmp_path: Path) -> None:
    folder = segmented(tmp_path / "segment" / "swin")
    told = json.loads((folder / "metrics.json").read_text())
    del told["test"]["per_class"]["road"]
    (folder / "metrics.json").write_text(json.dumps(told))
    with pytest.raises(StageError, match="expected measures as segment writes them"):
        segmentation.describe(inputs.collect((folder,))[0])


def test_a_patch_file_beside_it_shows_the_chain_again(
    tmp_path: Path, files: Path, prepared: Path
) -> None:
    text = " ".join(Balanced(command(tmp_path / "report.html", files, prepared)).text)
    assert "no bundle yet" in text


def exported(folder: Path) -> Path:
    """What export leaves of a segmentation network, as far as the page reads it."""
    folder.mkdir(parents=True)
    entry = {"file": "model.onnx", "bytes": 5_000_000, "mean_iou": 0.7, "pixel_accuracy": 0.9,
             "macro_f1": 0.8}  # fmt: skip
    apart = {"agreement": 0.98, "largest_logit_difference": 0.5, "points_lost": 1.25}
    ious = [0.9, 0.4, 0.8, None, 0.6]
    report = {
        "task": "segmentation",
        "models": {"fp32": entry, "int8": entry | apart},
        "per_class": {n: {"iou": iou} for n, iou in zip(tiles.CLASSES, ious, strict=True)},
        "per_class_change": {"iou": {"int8": {"background": -0.01, "building": -0.025}}},
        "calibration": {"scheme": "per_tensor_histogram"},
        "metis": {"violations": {"1.8": 3}, "accelerated_macs": {"1.8": 0.36}},
    }
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "metrics.json").write_text(json.dumps({"mean_iou": 0.7}))
    return folder


def test_the_page_says_what_each_class_loses_by_eight_bits(tmp_path: Path) -> None:
    page = command(tmp_path / "report.html", exported(tmp_path / "export" / "landcover"))
    text = " ".join(Balanced(page).text)
    assert "mean IoU, %" in text
    assert "overall accuracy, %" not in text
    assert "IoU of FP32, % INT8, points" in text
    assert "building 40.00 -2.50" in text
    assert "water – –" in text
    assert "36.00 % by 1.8" in text


def test_areas_of_orthophotos_have_their_digits() -> None:
    assert [maps.format_area(area) for area in (1234.56, 1.0, 0.04321, 0.0)] == [
        "1234.6", "1.0", "0.0432", "0.0",
    ]  # fmt: skip
