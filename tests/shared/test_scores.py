"""Scores: values known by hand, files written, arrays refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from shared import scores
from shared.errors import StageError

CLASSES = ("a", "b", "c")
LABELS = np.array([0, 0, 0, 1, 1, 1])
SAID = np.array([0, 0, 1, 1, 1, 0])  # nothing is or was called c


def test_metrics_by_hand() -> None:
    found = scores.metrics(scores.confusion(LABELS, np.eye(3)[SAID]), CLASSES)
    assert found["rows"] == 6
    assert found["overall_accuracy"] == pytest.approx(4 / 6)
    assert found["average_accuracy"] == pytest.approx(4 / 6)
    assert found["kappa"] == pytest.approx((4 / 6 - 0.5) / 0.5)
    assert found["macro_f1"] == found["weighted_f1"] == pytest.approx(4 / 6)
    assert found["per_class"]["c"] == {"rows": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_weighted_values_follow_the_rows_of_a_class() -> None:
    matrix = np.array([[8, 2], [0, 2]])  # recall 0.8 and 1, precision 1 and 0.5
    found = scores.metrics(matrix, ("a", "b"))
    assert found["average_accuracy"] == pytest.approx(0.9)
    assert found["weighted_precision"] == pytest.approx(10 / 12 * 1 + 2 / 12 * 0.5)
    assert found["weighted_f1"] == pytest.approx(10 / 12 * 16 / 18 + 2 / 12 * 4 / 6)
    chance = (10 * 8 + 2 * 4) / 144
    assert found["kappa"] == pytest.approx((10 / 12 - chance) / (1 - chance))


def test_all_of_one_class_and_right_has_no_kappa() -> None:
    assert scores.metrics(np.array([[5, 0], [0, 0]]), ("a", "b"))["kappa"] == 0


def test_softmax_survives_large_logits() -> None:
    found = scores.softmax(np.array([[1000, 1000, -1000], [0, np.log(3), -np.inf]], np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0], [0.25, 0.75, 0]], rtol=1e-6)


def test_files_hold_what_was_measured(tmp_path: Path) -> None:
    probabilities = scores.softmax(np.eye(3)[SAID])
    found = scores.write(tmp_path, LABELS, probabilities, CLASSES, seed=42)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written == {"classes": list(CLASSES), **found}
    assert written["seed"] == 42
    np.testing.assert_allclose(scores.array(tmp_path / "test_scores.npy", 2), probabilities, 1e-6)
    np.testing.assert_array_equal(scores.array(tmp_path / "test_labels.npy", 1), LABELS)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["true \\ predicted", *CLASSES]
    assert table[1:] == [["a", "2", "1", "0"], ["b", "1", "2", "0"], ["c", "0", "0", "0"]]


def save(path: Path, array: object) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def test_refuses_arrays(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.npy", np.ones((5, 3)))
    (tmp_path / "cut.npy").write_bytes(whole.read_bytes()[:150])
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "several.npz", a=np.ones(3))
    for path, message in [
        (tmp_path / "none.npy", "no such file"),
        (tmp_path / "cut.npy", "not a complete NPY file"),
        (tmp_path / "text.npy", "not a complete NPY file"),
        (tmp_path / "several.npz", "not a complete NPY file"),
        (save(tmp_path / "object.npy", np.array([{}])), "not a complete NPY file"),
        (save(tmp_path / "axes.npy", np.ones(3)), r"expected 2 axes, found shape \(3,\)"),
        (save(tmp_path / "nan.npy", np.full((2, 2), np.nan)), "NaN or infinite values"),
        (save(tmp_path / "word.npy", np.full((2, 2), "x")), "expected numbers, found <U1"),
    ]:
        with pytest.raises(StageError, match=message) as refused:
            scores.array(path, 2)
        assert str(path) in str(refused.value)
