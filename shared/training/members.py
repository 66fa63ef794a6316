"""Which members there are, and which bands each one sees."""

import numpy as np

from shared.errors import StageError
from shared.patches import shard as shards


def draw_bands(
    mode: str, optical: tuple[str, ...], radar: tuple[str, ...], seed: int
) -> tuple[str, ...]:
    """Bands of one member.

    Args:
        mode: "rand" three distinct optical bands; "randrgb" two bands outside true colour and one
            of B4, B3, B2, in file order; "sar" two optical bands and one SAR channel.
        optical: band names of the optical dataset.
        radar: channel names of sen1, empty when there is none.
        seed: of this member.

    Raises:
        StageError: too few bands for the mode.
    """
    rng = np.random.default_rng(seed)
    colour = [band for band in optical if band in ("B4", "B3", "B2")]
    other = [band for band in optical if band not in colour]
    pools = {
        "rand": [("optical bands", list(optical), 3)],
        "randrgb": [("bands besides B4, B3, B2", other, 2), ("of B4, B3, B2", colour, 1)],
        "sar": [("optical bands", list(optical), 2), ("channels of sen1", list(radar), 1)],
    }
    for kind, pool, count in pools[mode]:
        if len(pool) < count:
            names = ", ".join(pool) or "none"
            raise StageError(f"--mode={mode}: expected {count} or more {kind}, found {names}")
    drawn = [str(band) for _, pool, n in pools[mode] for band in rng.choice(pool, n, replace=False)]
    order = [*optical, *radar]
    return tuple(sorted(drawn, key=order.index))


def members_of_shard(members: int, shard: str) -> range:
    """Zero-based numbers of the members of one shard; StageError when there are none."""
    numbers = shards.shard_range(members, shard)
    if not numbers:
        raise StageError(f"--shard={shard}: none of the {members} members falls into it")
    return numbers
