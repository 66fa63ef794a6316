"""Scores: values known by hand, files written, arrays refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from shared.errors import StageError
from shared.models import score_folders, scores

CLASSES = ("a", "b", "c")
LABELS = np.array([0, 0, 0, 1, 1, 1])
SAID = np.array([0, 0, 1, 1, 1, 0])  # nothing is or was called c


def test_metrics_by_hand() -> None:
    metrics = scores.metrics(scores.confusion(LABELS, np.eye(3)[SAID]), CLASSES)
    assert metrics["rows"] == 6
    assert metrics["overall_accuracy"] == pytest.approx(4 / 6)
    assert metrics["average_accuracy"] == pytest.approx(4 / 6)
    assert metrics["kappa"] == pytest.approx((4 / 6 - 0.5) / 0.5)
    assert metrics["macro_f1"] == metrics["weighted_f1"] == pytest.approx(4 / 6)
    assert metrics["per_class"]["c"] == {"rows": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_weighted_values_follow_the_rows_of_a_class() -> None:
    matrix = np.array([[8, 2], [0, 2]])  # recall 0.8 and 1, precision 1 and 0.5
    metrics = scores.metrics(matrix, ("a", "b"))
    assert metrics["average_accuracy"] == pytest.approx(0.9)
    assert metrics["macro_precision"] == pytest.approx(0.75)
    assert metrics["weighted_precision"] == pytest.approx(10 / 12 * 1 + 2 / 12 * 0.5)
    assert metrics["weighted_f1"] == pytest.approx(10 / 12 * 16 / 18 + 2 / 12 * 4 / 6)
    chance = (10 * 8 + 2 * 4) / 144
    assert metrics["kappa"] == pytest.approx((10 / 12 - chance) / (1 - chance))


def drawn(rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """(N,) labels and (N, 5) probabilities; class 4 is said at times and never true."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, rows)
    return labels, scores.softmax(2 * rng.standard_normal((rows, 5)) + np.eye(5)[labels])


def test_metrics_are_those_of_scikit_learn() -> None:
    labels, probabilities = drawn()
    said, there = probabilities.argmax(1), [0, 1, 2, 3]
    assert 4 in said
    metrics = scores.metrics(scores.confusion(labels, probabilities), tuple("abcde"))
    for kind, precision, recall in [
        ("macro", "macro_precision", "average_accuracy"),
        ("weighted", "weighted_precision", "overall_accuracy"),
    ]:
        expected = reference.precision_recall_fscore_support(
            labels, said, labels=there, average=kind
        )
        names = (precision, recall, f"{kind}_f1")
        np.testing.assert_allclose([metrics[name] for name in names], expected[:3], rtol=1e-12)
    assert metrics["kappa"] == pytest.approx(reference.cohen_kappa_score(labels, said))


def test_calibration_error_by_hand() -> None:
    top = np.array([0.95, 0.97, 0.6, 0.55])  # of 15 bins: the last twice, (8/15, 9/15] twice
    right = np.array([True, False, True, True])
    probabilities = np.stack([top, 1 - top], 1)
    expected = (abs(1 - (0.95 + 0.97)) + abs(2 - (0.6 + 0.55))) / 4
    error = scores.calibration_error(np.where(right, 0, 1), probabilities)
    assert error == pytest.approx(expected)
    assert scores.calibration_error(np.zeros(3, int), np.eye(3)[[0, 0, 0]]) == 0
    assert scores.calibration_error(np.ones(3, int), np.eye(3)[[0, 0, 0]]) == 1


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4]])  # 4 bins: (0.25, 0.5] and (0.5, 0.75]
    assert scores.calibration_error(np.array([0, 1]), probabilities, 4) == pytest.approx(0.55)


def test_calibration_error_is_that_of_the_curve_of_scikit_learn() -> None:
    labels, probabilities = drawn()
    top, right = probabilities.max(1), probabilities.argmax(1) == labels
    share, mean = calibration_curve(right, top, n_bins=15)
    rows = np.histogram(top, np.linspace(0, 1, 16))[0]
    expected = (np.abs(share - mean) * rows[rows > 0]).sum() / len(labels)
    assert scores.calibration_error(labels, probabilities) == pytest.approx(expected)


def test_all_of_one_class_and_right_has_no_kappa() -> None:
    assert scores.metrics(np.array([[5, 0], [0, 0]]), ("a", "b"))["kappa"] == 0


def test_softmax_survives_large_logits() -> None:
    probabilities = scores.softmax(
        np.array([[1000, 1000, -1000], [0, np.log(3), -np.inf]], np.float32)
    )
    np.testing.assert_allclose(probabilities, [[0.5, 0.5, 0], [0.25, 0.75, 0]], rtol=1e-6)


def test_files_hold_what_was_measured(tmp_path: Path) -> None:
    probabilities = scores.softmax(np.eye(3)[SAID])
    metrics = scores.write(tmp_path, LABELS, probabilities, CLASSES, seed=42)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written == {"classes": list(CLASSES), **metrics}
    assert written["seed"] == 42
    error = scores.calibration_error(LABELS, probabilities)
    assert written["expected_calibration_error"] == error
    np.testing.assert_allclose(
        scores.read_array(tmp_path / "test_scores.npy", 2), probabilities, 1e-6
    )
    np.testing.assert_array_equal(scores.read_array(tmp_path / "test_labels.npy", 1), LABELS)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == ["true \\ predicted", *CLASSES]
    assert table[1:] == [["a", "2", "1", "0"], ["b", "1", "2", "0"], ["c", "0", "0", "0"]]


def save(path: Path, array: Any) -> Path:
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
            scores.read_array(path, 2)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ([0.5, 0.25, 0.25], False), ([0.5, 0.25, 0.2509], False), ([0.5, 0.25, 0.2511], True),
        ([0.5, 0.25, 0.2491], False), ([0.5, 0.25, 0.2489], True), ([1.1, -0.1, 0.0], True),
        ([1.0, 0.0, 0.0], False),
    ],
)  # fmt: skip
def test_rows_of_probabilities_sum_to_one(row: list[float], refused: bool) -> None:
    """To a thousandth, as those of half precision do."""
    rows = np.array([[1.0, 0, 0], row, [0.2, 0.3, 0.5]])
    if not refused:
        score_folders._check_sums(Path("a.npy"), rows)
        return
    with pytest.raises(StageError, match=r"a.npy: row 1 is no probability .* \(1 such rows\)"):
        score_folders._check_sums(Path("a.npy"), rows)
