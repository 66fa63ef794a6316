"""Orders of rows: every row once, from seed and epoch alone, also when read in pieces."""

from collections.abc import Iterator

import numpy as np
import pytest

from shared.training.data import order


def batches(seed: int, epoch: int, rows: int = 20, batch: int = 6) -> list[list[int]]:
    cuts = order.cut_batches(
        order.shuffle_rows(np.arange(rows) + 100, seed, epoch), batch, trained=True
    )
    return [of.tolist() for of in cuts]


def test_every_row_once_an_epoch() -> None:
    cuts = batches(1, 0)
    assert [len(batch) for batch in cuts] == [6, 6, 6, 2]
    assert sorted(row for batch in cuts for row in batch) == list(range(100, 120))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert batches(1, 4) == batches(1, 4)
    assert batches(1, 4) != batches(1, 5)
    assert batches(1, 4) != batches(2, 4)


def test_last_batch_of_one_row_is_dropped_in_training_only() -> None:
    assert [len(batch) for batch in batches(1, 0, rows=13)] == [6, 6]
    assert [len(batch) for batch in order.cut_batches(np.arange(13), 6)] == [6, 6, 1]


def test_in_pieces_neighbours_are_read_together_and_mixed() -> None:
    rows, at_once = np.arange(5000), 1024
    shuffled = order.shuffle_rows(rows, 3, 0, at_once)
    assert sorted(shuffled) == rows.tolist()
    for start in range(0, 5000, at_once):
        piece = np.sort(shuffled[start : start + at_once])
        runs = np.split(piece, np.flatnonzero(np.diff(piece) != 1) + 1)
        assert len(runs) <= at_once // order.BLOCK + 2  # whole blocks, but where a piece ends
    steps = np.abs(np.diff(shuffled))
    assert np.median(steps) > order.BLOCK  # what follows one another is no neighbour
    assert not np.array_equal(shuffled, order.shuffle_rows(rows, 3, 1, at_once))


def test_what_fits_is_shuffled_as_a_whole() -> None:
    rows = np.arange(700)
    whole = order.shuffle_rows(rows, 3, 0)
    np.testing.assert_array_equal(order.shuffle_rows(rows, 3, 0, 700), whole)


@pytest.mark.parametrize("count", [2, 7, 64, 1000])
@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_processes_share_a_batch(count: int, processes: int) -> None:
    rows = np.arange(count)
    parts = [rows[order.rows_of_process(rows, rank, processes)] for rank in range(processes)]
    if count < 2 * processes:  # too few for the deviation of each part
        assert all(len(part) == count for part in parts)
    else:
        np.testing.assert_array_equal(np.concatenate(parts), rows)
        assert {len(part) for part in parts} <= {count // processes, count // processes + 1}


def test_one_item_is_made_ahead() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(4):
            made.append(number)
            yield number

    coming = order.prefetch(items())
    assert next(coming) == 0
    assert list(coming) == [1, 2, 3]
    assert made == [0, 1, 2, 3]


def test_what_goes_wrong_ahead_is_told() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        list(order.prefetch(items()))


def test_balanced_rows_hold_every_class_alike_often() -> None:
    """Of 900, 90 and 10 rows: a third of the draws each, as many as there are rows together."""
    labels = np.repeat([0, 2, 5], [900, 90, 10])
    rows = np.arange(1000)
    drawn = order.draw_balanced(rows, labels, 3, 0)
    assert len(drawn) == 1000
    assert (np.diff(drawn) >= 0).all()
    counts = np.bincount(labels[drawn])[[0, 2, 5]]
    np.testing.assert_allclose(counts, 1000 / 3, atol=50)  # three deviations are 45
    each = np.bincount(drawn, minlength=1000)
    assert each[990:].min() > 15  # about 33 of each row of the smallest class
    assert each[990:].max() < 55
    assert np.array_equal(drawn, order.draw_balanced(rows, labels, 3, 0))
    for seed, epoch in ((4, 0), (3, 1)):
        assert not np.array_equal(drawn, order.draw_balanced(rows, labels, seed, epoch))


def test_balanced_rows_are_of_those_given() -> None:
    """Held-out rows stay out; a class that only they have is not asked for."""
    labels, rows = np.array([0, 0, 0, 1, 1, 2]), order.rows_without(6, np.array([1, 5]))
    assert rows.tolist() == [0, 2, 3, 4]
    drawn = np.concatenate([order.draw_balanced(rows, labels, 0, epoch) for epoch in range(50)])
    assert sorted(set(drawn.tolist())) == [0, 2, 3, 4]
    assert order.rows_without(3, None).tolist() == [0, 1, 2]
