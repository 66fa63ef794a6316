"""What the caller asked for: bands of a member, members of a shard, settings that make sense."""

import numpy as np

from shared.errors import StageError
from shared.patches import shard as shards
from shared.training.loop import Recipe, accelerator


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
        StageError: unknown mode, or too few bands for it.
    """
    rng = np.random.default_rng(seed)
    colour = [band for band in optical if band in ("B4", "B3", "B2")]
    other = [band for band in optical if band not in colour]
    pools = {
        "rand": [("optical bands", list(optical), 3)],
        "randrgb": [("bands besides B4, B3, B2", other, 2), ("of B4, B3, B2", colour, 1)],
        "sar": [("optical bands", list(optical), 2), ("channels of sen1", list(radar), 1)],
    }
    if mode not in pools:
        raise StageError(f"--mode: expected {', '.join(pools)}, found {mode!r}")
    for what, pool, count in pools[mode]:
        if len(pool) < count:
            found = ", ".join(pool) or "none"
            raise StageError(f"--mode={mode}: expected {count} or more {what}, found {found}")
    drawn = [str(band) for _, pool, n in pools[mode] for band in rng.choice(pool, n, replace=False)]
    order = [*optical, *radar]
    return tuple(sorted(drawn, key=order.index))


def numbers(members: int, shard: str) -> range:
    """Zero-based numbers of the members of one shard; StageError when there are none."""
    if members < 1:
        raise StageError(f"--members: expected at least 1, found {members}")
    found = shards.span(members, shard)
    if not found:
        raise StageError(f"--shard={shard}: no member of {members} falls into it")
    return found


def check(recipe: Recipe, size: int, interpolation: str) -> None:
    """Refuse settings no network can be trained with, before any data is read.

    Raises:
        StageError: names the flag.
    """
    least: dict[str, float] = {"epochs": 1, "batch": 2, "seed": 0}
    least |= dict.fromkeys(("lr", "momentum", "weight_decay", "clip"), 0.0)
    for name, low in least.items():
        if not (value := getattr(recipe, name)) >= low:
            raise StageError(f"--{name}: expected at least {low}, found {value}")
    if not 16 <= size <= 1024:
        raise StageError(f"--size: expected 16 to 1024 pixels, found {size}")
    if interpolation not in ("bilinear", "nearest"):
        raise StageError(f"--interpolation: expected bilinear or nearest, found {interpolation!r}")
    accelerator(recipe.device)
    if recipe.precision not in ("auto", "32-true", "bf16-mixed"):
        known = "auto, 32-true, bf16-mixed"
        raise StageError(f"--precision: expected {known}, found {recipe.precision!r}")


def check_pass(recipe: Recipe, together: int, resident: float, validation: float) -> None:
    """Refuse what makes no sense about a pass over the rows.

    Args:
        recipe: how to train.
        together: members that share a pass.
        resident: GB of rows that may lie in memory.
        validation: share of the rows held out.

    Raises:
        StageError: names the flag.
    """
    if together < 1:
        raise StageError(f"--together: expected at least 1 member, found {together}")
    if not resident > 0:
        raise StageError(f"--resident: expected above 0 GB, found {resident}")
    if not 0 <= validation <= 0.5:
        raise StageError(f"--validation: expected 0 to 0.5, found {validation}")
    if recipe.patience < 0 or (recipe.patience and not validation):
        raise StageError("--patience: expected 0, or more with rows held out by --validation")
