"""Pairs of low and high resolution from patches alone: degrade them as the sensor would (Wald)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import Source, read_marks
from shared.progress import bar
from shared.sr import bands, wald

Array = NDArray[np.float32]
Gather = Callable[[Array], Array]

BLOCK = 32  # rows read together
HELD = 256  # patches that are enough for a PSNR


@dataclass(frozen=True)
class Pairs:
    """What goes into a network and what should come out, in the units of `bands.stretch`.

    Attributes:
        low: (M, K, h, w), K bands together.
        high: (M, K, h * scale, w * scale).
    """

    low: Array
    high: Array


@dataclass(frozen=True)
class Held:
    """Whole patches at both resolutions, reflectance.

    Attributes:
        low: (N, h, w, C).
        high: (N, h * scale, w * scale, C).
    """

    low: Array
    high: Array


def degrade_patches(sen2: Array, names: tuple[str, ...], scale: int) -> Held:
    """(N, H, W, C) patches, cut to a multiple of the scale, with their degraded copies."""
    high = wald.crop(sen2, scale)
    return Held(wald.degrade(high, names, scale), high)


def pair(patches: Held, gather: Gather) -> Pairs:
    """Pairs of patches, both sides in the unit of the low one, as it is all that is known later."""
    low, high = gather(patches.low), gather(patches.high)
    base, span = bands.measure_ranges(low)
    return Pairs(bands.stretch(low, base, span), bands.stretch(high, base, span))


def held_out(source: Source) -> NDArray[np.bool_]:
    """(N,) rows never trained on: those that the file marks as validation, if any.

    Else every tenth city, or where none is known 2 of 20 runs of rows. Never single rows: the
    neighbours of a patch overlap it.
    """
    marks = read_marks(source)
    if marks is not None and marks.any():
        return marks
    if "city" in source and source["city"].stored.ndim == 1:
        cities, city = np.unique(source["city"].raw(slice(None)), return_inverse=True)
        if len(cities) > 1:
            return city % 10 == 0
    return np.arange(source.total) * 20 // source.total % 10 == 5


def blocks(total: int, rows: int) -> Iterator[slice]:
    """Runs of rows, spread evenly, that hold about ``rows`` rows of ``total`` (0 means all)."""
    whole = -(-total // BLOCK)
    count = min(whole, -(-rows // BLOCK)) if rows else whole
    for block in np.arange(count) * whole // count:
        yield slice(int(block) * BLOCK, min((int(block) + 1) * BLOCK, total))


def check_bands(source: Source, side: int) -> tuple[str, ...]:
    """Names of the sen2 bands; StageError for one without known MTF or sides < ``side`` pixels."""
    rows = source["sen2"]
    names = rows.layout.bands if rows.layout else ()
    if unknown := sorted(set(names) - set(wald.MTF)):
        known = list(wald.MTF)
        raise StageError(f"{source.path}: sen2: no MTF known for {unknown}, only for {known}")
    if min(rows.shape[1:3]) < side:
        size = f"{rows.shape[1]} × {rows.shape[2]}"
        raise StageError(
            f"{source.path}: sen2: expected sides of at least {side} pixels at this scale, "
            f"found {size}"
        )
    return names


def load(
    source: Source, names: tuple[str, ...], scale: int, rows: int, gather: Gather
) -> tuple[Pairs, Held]:
    """Training pairs and held-out patches of about ``rows`` rows of a patch file.

    Raises:
        StageError: too few rows to hold some out.
    """
    held, chosen = held_out(source), list(blocks(source.total, rows))
    out = np.concatenate([held[block] for block in chosen])
    if out.all() or not out.any():
        raise StageError(
            f"{source.path}: expected rows to learn from and rows to hold out, found "
            f"{(~out).sum()} and {out.sum()}"
        )
    learned: list[Pairs] = []
    kept: list[Held] = []
    with bar(len(out), "read") as progress:
        for block in chosen:
            patches, apart = degrade_patches(source["sen2"][block], names, scale), held[block]
            kept.append(Held(patches.low[apart], patches.high[apart]))
            learned.append(pair(Held(patches.low[~apart], patches.high[~apart]), gather))
            progress.update(len(apart))
    some = np.unique(np.linspace(0, out.sum() - 1, min(out.sum(), HELD)).astype(int))
    low, high = (np.concatenate([getattr(held, n) for held in kept]) for n in ("low", "high"))
    pairs = Pairs(*(np.concatenate([getattr(p, n) for p in learned]) for n in ("low", "high")))
    return pairs, Held(low[some], high[some])
