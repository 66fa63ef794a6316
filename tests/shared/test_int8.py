"""INT8 ranges: the histogram, the search, grids, by hand and by another calculation."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from shared import int8
from shared.int8.histogram import BINS, count_values, histogram_of
from shared.int8.range_search import quantisation_error


def seen(*pieces: ArrayLike, depthwise: bool = False) -> int8.TensorObserver:
    observer = int8.TensorObserver(depthwise=depthwise)
    for piece in pieces:
        observer.observe(np.asarray(piece, np.float32))
    return observer


def ends(observer: int8.TensorObserver, scheme: int8.Scheme = int8.HISTOGRAM) -> tuple[float, ...]:
    found = observer.choose_per_tensor(scheme)
    return float(found.low), float(found.high)


def test_counts_by_hand() -> None:
    counts = count_values(
        np.array([-1.0, -0.9995, 0.0, 1.0], np.float32), np.float32(-1), np.float32(1)
    )
    assert np.flatnonzero(counts).tolist() == [0, BINS // 2, BINS - 1]
    assert counts[0] == 2  # a bin is 1 / 1024 wide


def test_a_wider_piece_moves_the_old_counts() -> None:
    """Values 0 … 1 in equal parts, then one 3: the first third of the new bins holds the old."""
    histogram = seen(np.linspace(0, 1, 4 * BINS), [3.0]).histogram
    assert histogram is not None
    assert [float(histogram.low), float(histogram.high)] == [0.0, 3.0]
    assert histogram.counts.sum() == pytest.approx(4 * BINS + 1)
    third = BINS // 3
    assert histogram.counts[: third + 1].sum() == pytest.approx(4 * BINS, rel=1e-3)
    np.testing.assert_allclose(histogram.counts[5 : third - 5], 12, atol=1.5)
    assert (histogram.counts[third + 2 : -1].sum(), histogram.counts[-1]) == (0, 1)


def test_one_value_and_then_others() -> None:
    histogram = seen(np.full(100, 2.0), [0.0, 4.0]).histogram
    assert histogram is not None
    assert (histogram.counts[BINS // 2], histogram.counts[0], histogram.counts[-1]) == (100, 1, 1)
    assert ends(seen(np.full(100, 2.0))) == (2.0, 2.0)
    assert ends(seen(np.zeros(9))) == (0.0, 0.0) == ends(seen())


def test_error_by_integration() -> None:
    """Against a sum over 64 points of every bin."""
    values = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    histogram = histogram_of(values)
    first, last = 200, 1700
    wide = float(histogram.high - histogram.low) / BINS
    level = wide * (last - first + 1) / 256
    points = (np.arange(BINS)[:, None] + (np.arange(64) + 0.5) / 64 - first) * wide
    centres = (np.clip(np.floor(points / level), 0, 255) + 0.5) * level
    expected = (histogram.counts * ((points - centres) ** 2).mean(1)).sum()
    assert quantisation_error(histogram, first, last) == pytest.approx(expected, rel=1e-3)


def test_rare_values_are_cut_off_where_that_pays() -> None:
    values = np.append(np.random.default_rng(0).standard_normal(10**6), 12.0)
    low, high = ends(seen(values))
    assert values[:-1].min() - 0.01 <= low < -3
    assert 3 < high < 8
    assert ends(seen(values), int8.MIN_MAX) == (float(np.float32(values.min())), 12.0)


def test_the_range_has_less_error_than_that_of_all_values() -> None:
    values = np.random.default_rng(1).laplace(size=50_000).astype(np.float32)
    histogram = histogram_of(values)
    low, high = int8.search_range(histogram)
    wide = (histogram.high - histogram.low) / BINS
    first = round(float((low - histogram.low) / wide))
    last = round(float((high - histogram.low) / wide)) - 1
    error = quantisation_error(histogram, first, last)
    assert error < quantisation_error(histogram, 0, BINS - 1)
    assert (first, last) != (0, BINS - 1)


def test_values_without_end_do_not_count() -> None:
    assert ends(seen([1.0, np.inf, np.nan, -2.0]), int8.MIN_MAX) == (-2.0, 1.0)


def test_channels_have_their_own_ends_for_a_depthwise_convolution_alone() -> None:
    pieces = np.array([[[1.0, 2.0], [-5.0, 0.5]]]), np.array([[[-1.0, 0.0], [0.0, 9.0]]])
    found = seen(*pieces, depthwise=True).choose(int8.HYBRID)
    np.testing.assert_array_equal(found.low, [-1, -5])
    np.testing.assert_array_equal(found.high, [2, 9])
    assert seen(*pieces).choose(int8.HYBRID).low.shape == ()
    assert seen(*pieces, depthwise=True).choose(int8.MIN_MAX).low.shape == ()


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [(-1.0, 1.55, 0.01, 100), (0.5, 2.55, 0.01, 0), (-2.55, -1.0, 0.01, 255), (0.0, 0.0, 1.0, 0)],
)
def test_grids_by_hand(low: float, high: float, scale: float, zero: int) -> None:
    """Zero has a level, also where all values lie on one side of it."""
    found = int8.Range(np.array(low, np.float32), np.array(high, np.float32)).grid()
    assert float(found[0]) == pytest.approx(scale)
    assert int(found[1]) == zero


def test_weights_are_rounded_by_output_channel() -> None:
    weight = np.array([[1.27, 0.014], [-12.7, 0.14], [0.0, 0.0]], np.float32)
    expected = np.array([[1.27, 0.01], [-12.7, 0.1], [0.0, 0.0]])
    np.testing.assert_allclose(int8.round_weight(weight), expected, atol=1e-6)
    np.testing.assert_allclose(int8.round_weight(weight.T, -1), expected.T, atol=1e-6)
