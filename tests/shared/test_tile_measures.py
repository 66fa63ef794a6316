"""Agreement of masks by accumulated counts: by hand, against a direct computation, the absent."""

import numpy as np
import pytest

from shared import tiles

TRUTH = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
SAID = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)


def test_counts_by_hand() -> None:
    counts = tiles.count_confusion(TRUTH, SAID, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_measures_by_hand() -> None:
    told = tiles.measure(tiles.count_confusion(TRUTH, SAID, 4), ("a", "b", "c", "d"))
    assert told["pixels"] == 5
    assert told["pixel_accuracy"] == pytest.approx(3 / 5)
    assert told["mean_iou"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)  # d is in neither
    assert told["macro_f1"] == pytest.approx((2 / 4 + 4 / 5 + 0) / 3)
    assert told["macro_precision"] == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    assert told["macro_recall"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert told["absent"] == ["d"]
    nothing = {"pixels": 0, "iou": None, "f1": None, "precision": None, "recall": None}
    assert told["per_class"]["d"] == nothing
    assert told["per_class"]["c"] == {"pixels": 1} | dict.fromkeys(list(nothing)[1:], 0.0)


def test_what_is_predicted_but_never_true_counts_as_zero() -> None:
    counts = tiles.count_confusion(np.zeros(4, np.uint8), np.array([0, 0, 1, 0], np.uint8), 3)
    assert tiles.intersect_over_union(counts)[:2].tolist() == [0.75, 0.0]
    assert tiles.mean_iou(counts) == pytest.approx(0.375)
    assert tiles.measure(counts, ("a", "b", "c"))["absent"] == ["c"]


def direct_iou(truth: np.ndarray, said: np.ndarray, kind: int) -> float:
    """Of all masks at once, as sets of pixels."""
    known = truth != tiles.IGNORE
    ours, theirs = (said == kind) & known, (truth == kind) & known
    return float((ours & theirs).sum() / (ours | theirs).sum())


def test_accumulated_counts_equal_a_direct_computation() -> None:
    rng = np.random.default_rng(4)
    truth = rng.choice(np.array([0, 1, 2, 3, 4, 255], np.uint8), (7, 20, 30))
    truth[:3][truth[:3] == 4] = 0  # a class that many batches lack
    said = np.where(rng.random(truth.shape) < 0.7, truth, 0).astype(np.uint8)
    said[truth == 255] = rng.integers(0, 5, (truth == 255).sum())
    counts = np.zeros((5, 5), np.int64)
    for batch in (slice(0, 3), slice(3, 4), slice(4, 7)):
        counts += tiles.count_confusion(truth[batch], said[batch], 5)
    each = [direct_iou(truth, said, kind) for kind in range(5)]
    np.testing.assert_allclose(tiles.intersect_over_union(counts), each)
    assert tiles.mean_iou(counts) == pytest.approx(np.mean(each))
    assert counts.sum() == (truth != 255).sum()


def test_pixels_without_a_class_never_count() -> None:
    truth = np.full((4, 4), tiles.IGNORE, np.uint8)
    counts = tiles.count_confusion(truth, np.ones((4, 4), np.uint8), 2)
    assert not counts.any()
    told = tiles.measure(counts, ("a", "b"))
    assert (told["pixels"], told["mean_iou"], told["pixel_accuracy"]) == (0, 0.0, 0.0)
    assert told["absent"] == ["a", "b"]
    assert tiles.mean_iou(counts) == 0.0


def test_masks_that_cannot_be_compared_are_an_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        tiles.count_confusion(TRUTH, SAID[:1], 4)
    with pytest.raises(ValueError, match="below 2"):
        tiles.count_confusion(TRUTH, SAID, 2)
    with pytest.raises(ValueError, match="below 3"):
        tiles.count_confusion(TRUTH, np.full_like(SAID, 3), 3)


def test_examples_show_every_class_the_rare_first() -> None:
    counts = np.array([[9, 0, 0], [9, 5, 0], [9, 1, 1], [9, 0, 0]])
    assert tiles.choose_examples(counts, 1) == [2]  # the only one of the rarest class
    assert tiles.choose_examples(counts, 2) == [1, 2]
    assert tiles.choose_examples(counts, 3) == [0, 1, 2]
    assert tiles.choose_examples(counts, 99) == [0, 1, 2, 3]
    assert tiles.choose_examples(np.zeros((2, 3), np.int64), 2) == []


def test_a_mask_in_the_colours_of_its_classes() -> None:
    coloured = tiles.colour_mask(np.array([[0, 1, 255]], np.uint8), ("#000000", "#614a4a"))
    assert coloured.tolist() == [[[0, 0, 0], [97, 74, 74], [255, 255, 255]]]
