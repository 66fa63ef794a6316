"""What an epoch is worth on the rows held out, and which one is the best: lists worked by hand."""

import math

import numpy as np
import pytest

from shared.training.loop.selection import find_best, measure

UNEVEN = [0.5, 0.4, 0.7, 0.75, 0.7, 0.82, 0.9]


def test_accuracy_and_mean_cross_entropy_by_hand() -> None:
    """Probabilities of the true classes: 1/2, 1/4, 3/4; the second one is told wrong."""
    odds = np.array([[2, 1, 1], [3, 12, 1], [1, 2, 9]], np.float32)
    measured = measure(np.log(odds), np.array([0, 2, 2]))
    assert measured.accuracy == pytest.approx(2 / 3)
    expected = -(math.log(2 / 4) + math.log(1 / 16) + math.log(9 / 12)) / 3
    assert measured.loss == pytest.approx(expected, rel=1e-6)


def test_the_first_of_equals_is_the_best() -> None:
    assert find_best([], "accuracy") == -1
    for values in ([0.2], [0.1, 0.9, 0.9, 0.4], [0.0, 0.0], UNEVEN):
        assert find_best(values, "accuracy") == int(np.argmax(values))
        assert find_best([-value for value in values], "loss") == int(np.argmax(values))


@pytest.mark.parametrize(
    ("improvement", "best"),
    [(0, 6), (0.0625, 6), (0.125, 5), (0.1875, 3), (0.25, 3), (0.375, 6), (0.4375, 0)],
)
def test_an_epoch_is_better_by_more_than_the_least_improvement(
    improvement: float, best: int
) -> None:
    values = [0.5, 0.4375, 0.6875, 0.8125, 0.6875, 0.875, 0.9375]
    assert find_best(values, "accuracy", improvement) == best
    assert find_best([-value for value in values], "loss", improvement) == best


def test_as_much_as_the_least_improvement_is_not_more() -> None:
    assert find_best([0.5, 0.75], "accuracy", 0.25) == 0
    assert find_best([0.5, 0.75], "accuracy", 0.2499) == 1


def test_many_small_steps_add_up_to_an_improvement() -> None:
    """Each is measured against the best that counted, not against the epoch before."""
    assert find_best([1.0, 0.96875, 0.9375, 0.90625, 0.875], "loss", 0.0625) == 3


def test_values_that_are_no_numbers_are_never_the_best() -> None:
    assert find_best([math.nan, 2.0, math.nan, 1.0], "loss") == 3
    assert find_best([math.nan], "loss") == -1
