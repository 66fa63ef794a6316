"""bench-audit: labels are changed as it says, and what is found is counted by hand."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from shared.models import label_audits
from tests.bench import audit


def test_exactly_the_share_gets_another_class() -> None:
    labels = np.arange(1000) % 17
    noisy = audit.mislabel(labels, 17, 0.15, 3)
    assert (noisy != labels).sum() == 150
    assert (noisy.min(), noisy.max()) == (0, 16)
    np.testing.assert_array_equal(noisy, audit.mislabel(labels, 17, 0.15, 3))
    assert (noisy != audit.mislabel(labels, 17, 0.15, 4)).any()
    np.testing.assert_array_equal(labels, np.arange(1000) % 17)  # the caller's stay


def test_the_copy_has_wrong_labels_and_the_truth_is_told(tmp_path: Path) -> None:
    labels = np.arange(34) % 17
    with h5py.File(tmp_path / "training.h5", "w") as file:
        file["label"] = np.eye(17, dtype=np.uint8)[labels]
        file["label"].attrs["kept"] = 5
    noisy = tmp_path / "seed" / "training.h5"
    for _ in range(2):  # the second time it is there
        np.testing.assert_array_equal(
            audit.write_noisy(tmp_path / "training.h5", noisy, 0.5, 1), labels
        )
        with h5py.File(noisy) as file:
            assert file["label"].attrs["kept"] == 5
            assert (np.asarray(file["label"]).sum(1) == 1).all()
            assert (np.asarray(file["label"]).argmax(1) != labels).sum() == 17
    assert [path.name for path in noisy.parent.iterdir()] == ["training.h5"]


def test_precision_and_recall_by_hand() -> None:
    """Of five rows two are wrong, 0 and 1; suspects are 0, 2, 3; the worst two are 1 and 0."""
    truth = np.array([0, 0, 0, 1, 1])
    said = label_audits.Audit(
        ("a", "b"), np.array([1, 1, 0, 1, 1]), np.array([0, 1, 0, 1, 0]),
        np.array([0.2, 0.1, 0.9, 0.3, 0.8]), np.array([True, False, True, True, False]),
    )  # fmt: skip
    figures = audit.summarise([audit.Found(said.given != truth, truth, said)], 0.4)
    assert figures == {
        "suspects, precision": [pytest.approx(100 / 3)],
        "suspects, recall": [50.0],
        "worst 40%, precision": [100.0],
        "worst 40%, recall": [100.0],
        "out of fold, right": [60.0],
    }
    head = {"rows": 5, "data": "data/demo", "noise": 0.4, "seeds": "1, 2", "flags": "--x 1"}
    text = audit.page({"suspects, recall": [50.0, 54.0]}, **head)
    # Student's t of one degree: 12.706 times the standard error, which is 2.
    assert "| suspects, recall | 52.0 | 26.6 to 77.4 | 50.0, 54.0 |" in text
    assert "5 training rows of `data/demo`, of which 40% got another class" in text
