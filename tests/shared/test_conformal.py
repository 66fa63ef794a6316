"""Prediction sets: values by hand, an independent computation, what is promised is reached."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from shared import conformal
from shared.errors import StageError


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 5) probabilities of a network that is right as often as it says, and the classes."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.6] * 5, rows)
    labels = (scores.cumsum(1) > rng.random((rows, 1))).argmax(1)
    return scores, labels


def test_strangeness_by_hand() -> None:
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    np.testing.assert_allclose(
        conformal.strangeness(scores, "lac"), [[0.8, 0.5, 0.7], [0.6, 0.8, 0.6]]
    )
    np.testing.assert_allclose(
        conformal.strangeness(scores, "aps"), [[0.8, 0.0, 0.5], [0.0, 0.8, 0.4]], atol=1e-12
    )


@pytest.mark.parametrize(
    ("rows", "coverage", "expected"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (8, 0.9, None)]
)
def test_the_limit_is_a_row(rows: int, coverage: float, expected: int | None) -> None:
    strange = np.random.default_rng(0).permutation(np.arange(1, rows + 1).astype(float))
    found = conformal.limit(strange, coverage)
    assert found == (math.inf if expected is None else expected)


@pytest.mark.parametrize("method", conformal.METHODS)
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_sets_are_those_of_the_definition(method: conformal.Method, coverage: float) -> None:
    """A class is in the set if its rank among the calibration rows' is not above what is allowed.

    The p-value of Vovk et al.: sets hold the classes whose p-value is above 1 - coverage.
    """
    (known, labels), (new, _) = draw(60, 1), draw(40, 2)

    def strange(row: np.ndarray, label: int) -> float:
        if method == "lac":
            return float(1 - row[label])
        likelier = [row[k] for k in range(5) if row[k] > row[label]]
        return float(sum(sorted(likelier, reverse=True)))

    past = [strange(row, label) for row, label in zip(known, labels, strict=True)]
    expected = [
        [(1 + sum(one >= strange(row, k) - 1e-12 for one in past)) / 61 > 1 - coverage + 1e-12
         for k in range(5)]
        for row in new
    ]  # fmt: skip
    calibration = conformal.Calibration(tuple("abcde"), method, np.sort(past))
    np.testing.assert_array_equal(calibration.sets(new, coverage), expected)


@pytest.mark.parametrize("method", conformal.METHODS)
def test_what_is_promised_is_reached(method: conformal.Method) -> None:
    """Over many draws the mean is the promise, and hits leave their bounds as often as stated."""
    reached, within = [], []
    for seed in range(300):
        (known, labels), (new, truth) = draw(99, seed), draw(50, 10_000 + seed)
        strange = conformal.strangeness(known, method)[np.arange(99), labels]
        calibration = conformal.Calibration(tuple("abcde"), method, np.sort(strange))
        hits = calibration.sets(new, 0.8)[np.arange(50), truth]
        low, high = conformal.bounds(99, 50, 0.8)
        reached.append(hits.mean())
        within.append(low <= hits.mean() <= high)
    error = np.std(reached) / len(reached) ** 0.5
    assert np.mean(reached) > 0.8 - 4 * error
    if method == "lac":
        assert abs(np.mean(reached) - 0.8) < 4 * error
        assert 0.92 <= np.mean(within) <= 0.99
    else:
        assert conformal.strangeness(draw(99, 0)[0], method).min() == 0  # no set is empty


def test_bounds_by_drawing() -> None:
    rng = np.random.default_rng(0)
    hits = rng.binomial(40, rng.beta(90, 10, 200_000)) / 40  # rank 90 of 99 rows
    low, high = conformal.bounds(99, 40, 0.9)
    assert (hits < low).mean() <= 0.027
    assert (hits > high).mean() <= 0.027
    assert (hits < low + 1 / 40).mean() >= 0.023  # and no narrower ones would do
    assert conformal.bounds(8, 10, 0.9) == (1.0, 1.0)


def test_groups_are_judged_by_the_others() -> None:
    scores = np.full((6, 2), 0.5)
    scores[:, 0] = [0.9, 0.85, 0.7, 0.2, 0.1, 0.3]
    scores[:, 1] = 1 - scores[:, 0]
    found = conformal.leave_one_out(
        scores, np.zeros(6, int), np.array([0, 0, 0, 7, 7, 7]), 0.5, "lac"
    )
    assert [(one.group, one.rows, one.hits) for one in found] == [(0, 3, 3), (7, 3, 0)]
    # Limits 0.8 and 0.15, the second smallest of three each; sets of 1, 1, 2 and 0, 1, 0 classes.
    np.testing.assert_allclose([one.size for one in found], [4 / 3, 1 / 3])
    np.testing.assert_allclose([one.single for one in found], [2 / 3, 1 / 3])
    np.testing.assert_allclose([one.empty for one in found], [0, 2 / 3])


def test_the_file_keeps_every_bit(tmp_path: Path) -> None:
    strange = np.sort(np.random.default_rng(0).random(50))
    conformal.save(tmp_path / "c.json", conformal.Calibration(("a", "b"), "lac", strange), x=1)
    again = conformal.load(tmp_path / "c.json")
    assert (again.classes, again.method) == (("a", "b"), "lac")
    np.testing.assert_array_equal(again.strange, strange)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "raps"}, "method: expected one of lac, aps, found 'raps'"),
        ({"strangeness": [0.3, 0.1]}, "strangeness: expected rising numbers"),
        ({"strangeness": []}, "strangeness: expected rising numbers"),
        ({"strangeness": [0.1, float("nan")]}, "strangeness: expected rising numbers"),
        ({"strangeness": "x"}, "expected a calibration that calibrate has made ("),
        ({"classes": 3}, "expected a calibration that calibrate has made ("),
    ],
)
def test_refuses_files(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    content = {"classes": ["a", "b"], "method": "lac", "strangeness": [0.1, 0.3]}
    (tmp_path / "c.json").write_text(json.dumps(content | changes))
    with pytest.raises(StageError) as refusal:
        conformal.load(tmp_path / "c.json")
    assert message in str(refusal.value)
    with pytest.raises(StageError, match="expected a calibration that calibrate has made, found a"):
        conformal.load(tmp_path)
