"""Folds of the training rows, and the scores of rows that networks were not trained on."""

import numpy as np
import pytest

from shared.errors import StageError
from shared.models import scores
from shared.training.data import folds
from shared.training.records import out_of_fold

CLASSES = ("a", "b", "c")


def test_runs_of_each_class_where_no_cities_are_known() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 2, 2])
    found = folds.assign_folds(labels, None, 2, CLASSES)
    assert found.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 1]


def test_a_city_lies_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    cities, labels = rng.integers(0, 12, 600), rng.integers(0, 3, 600)
    found = folds.assign_folds(labels, 7 * cities, 4, CLASSES)
    for city in range(12):
        assert len(set(found[cities == city])) == 1
    counts = np.array([[((found == f) & (labels == k)).sum() for k in range(3)] for f in range(4)])
    whole = counts.sum(0)
    assert (np.abs(counts / whole - 0.25) < 0.1).all()


@pytest.mark.parametrize("cities", [[0, 0, 0, 1, 1, 1], [5, 5, 5, 5, 5, 5]])
def test_runs_where_cities_would_take_a_class_away(
    cities: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    """Class 0 is in one city alone; or there is one city."""
    labels = np.array([0, 0, 1, 1, 1, 1])
    found = folds.assign_folds(labels, np.array(cities), 2, CLASSES)
    assert found.tolist() == [0, 1, 0, 0, 1, 1]
    assert "whole cities do not make 2 folds" in capfd.readouterr().err


def test_a_class_of_one_row_is_refused() -> None:
    with pytest.raises(StageError, match="expected two rows or more of each class, found one of b"):
        folds.assign_folds(np.array([0, 0, 1]), None, 2, CLASSES)


def test_scores_are_the_mean_of_those_that_did_not_see_the_row() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
    unseen = [np.array([0, 1]), np.array([1, 2]), np.array([3])]
    found = out_of_fold.average_unseen([*zip(unseen, logits, strict=True)])
    each = [scores.softmax(one) for one in logits]
    assert found is not None
    np.testing.assert_allclose(found[0], each[0][0])
    np.testing.assert_allclose(found[1], (each[0][1] + each[1][1]) / 2)
    np.testing.assert_allclose(found[2], each[1][2])
    np.testing.assert_allclose(found[3], each[2][3])


def test_none_where_a_row_was_seen_by_all() -> None:
    logits = np.zeros((3, 2), np.float32)
    assert out_of_fold.average_unseen([(np.array([0, 1]), logits), (None, logits)]) is None
