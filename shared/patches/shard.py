"""``--shard i/n``: the i-th of n runs of consecutive rows or members, without a coordinator."""

import re

from shared.errors import StageError


def shard_range(total: int, shard: str) -> range:
    """Rows of one shard: ``(i-1) * total // n`` up to, not including, ``i * total // n``.

    Args:
        total: number of rows (or ensemble members) of the whole.
        shard: "i/n" with 1 <= i <= n; "1/1" is everything.

    Raises:
        StageError: the text is not "i/n", or i is outside 1 ... n.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not match:
        raise StageError(f"--shard: expected i/n such as 2/8, found {shard!r}")
    i, n = int(match[1]), int(match[2])
    if not 1 <= i <= n:
        raise StageError(f"--shard: expected 1 to n before the slash, found {shard!r}")
    return range((i - 1) * total // n, i * total // n)
