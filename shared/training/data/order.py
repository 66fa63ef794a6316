"""In which order an epoch goes through the rows: from the seed and the epoch alone."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

BLOCK = 256  # neighbouring rows that are read together when a split does not lie in memory

T = TypeVar("T")


def shuffle_rows(
    rows: NDArray[np.intp], seed: int, epoch: int, at_once: int | None = None
) -> NDArray[np.intp]:
    """The rows of one epoch, in its order.

    Args:
        rows: (N,) row numbers.
        seed: of the order.
        epoch: counted from 0.
        at_once: how many rows may lie in memory. None, or N at least: any order is as likely as
            another. Fewer: blocks of 256 neighbours in random order; of every `at_once` rows that
            follow one another, any order is as likely as another.
    """
    rng = np.random.default_rng((seed, epoch))
    if at_once is None or at_once >= len(rows):
        return rng.permutation(rows)
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    order = np.concatenate([blocks[number] for number in rng.permutation(len(blocks))])
    for start in range(0, len(order), at_once):
        rng.shuffle(order[start : start + at_once])
    return order


def rows_without(count: int, *left_out: NDArray[np.intp] | None) -> NDArray[np.intp]:
    """(N,) numbers of the `count` rows that are in none of the lists left out, ascending."""
    rows = np.arange(count)
    for some in left_out:
        rows = np.setdiff1d(rows, [] if some is None else some)
    return rows


def draw_balanced(
    rows: NDArray[np.intp], labels: NDArray[np.integer], seed: int, epoch: int
) -> NDArray[np.intp]:
    """As many rows as there are, drawn with replacement: each class that occurs alike often.

    Args:
        rows: (N,) row numbers.
        labels: (M,) class numbers of all rows.
        seed: of the draws.
        epoch: counted from 0.

    Returns:
        (N,) row numbers, ascending, so that `shuffle_rows` may read neighbours together.
    """
    rng = np.random.default_rng((seed, epoch, 1))  # not the numbers of `shuffle_rows`
    _, place, counts = np.unique(labels[rows], return_inverse=True, return_counts=True)
    shares = 1 / (len(counts) * counts[place])
    return np.sort(rng.choice(rows, len(rows), p=shares))


def cut_batches(
    order: NDArray[np.intp], batch: int, trained: bool = False
) -> list[NDArray[np.intp]]:
    """Batches in this order; where they are `trained` on, a last one of a single row is left out.

    Batch norm has no deviation of one row.
    """
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    return batches[:-1] if trained and len(batches) > 1 and len(batches[-1]) < 2 else batches


def rows_of_process(rows: NDArray[np.intp], rank: int, processes: int) -> slice:
    """Which part of a batch one of several processes takes; all of a batch too small to part."""
    if len(rows) < 2 * processes:
        return slice(0, len(rows))
    return slice(rank * len(rows) // processes, (rank + 1) * len(rows) // processes)


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next one being made in a thread while the caller is busy with one."""
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield item
