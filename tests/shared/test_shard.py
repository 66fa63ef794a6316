"""Shards: every row in exactly one of them."""

import itertools

import pytest

from shared.errors import StageError
from shared.patches import shard


@pytest.mark.parametrize(("total", "n"), [(7, 1), (7, 2), (7, 3), (7, 9), (0, 2), (352366, 64)])
def test_shards_cover_all_rows_once_in_order(total: int, n: int) -> None:
    spans = [shard.shard_range(total, f"{i}/{n}") for i in range(1, n + 1)]
    assert spans[0].start == 0
    assert spans[-1].stop == total
    assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
    sizes = {len(span) for span in spans}
    assert max(sizes) - min(sizes) <= 1


def test_second_of_three() -> None:
    assert shard.shard_range(10, "2/3") == range(3, 6)


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1.0/2"])
def test_refuses(text: str) -> None:
    with pytest.raises(StageError, match="--shard: expected"):
        shard.shard_range(10, text)


def test_whole_numbers_alone() -> None:
    assert shard.shard_range(10, "1/1") == range(10)
    assert shard.shard_range(10, "3/3") == range(6, 10)
    assert shard.shard_range(3, "1/4") == range(0)
