"""Pairs of low and high resolution from patches alone: degrade them as the sensor would (Wald)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import sr_bands
from shared.errors import StageError
from shared.progress import bar
from shared.source import Source

Array = NDArray[np.float32]

# Modulation transfer function at the Nyquist frequency, per band: Ulfarsson et al. 2019,
# "Sentinel-2 Sharpening Using a Reduced-Rank Method", the values of its published code.
MTF = {
    "B1": 0.32, "B2": 0.26, "B3": 0.28, "B4": 0.24, "B5": 0.38, "B6": 0.34, "B7": 0.34,
    "B8": 0.26, "B8A": 0.33, "B9": 0.26, "B11": 0.22, "B12": 0.23,
}  # fmt: skip
BLOCK = 32  # rows read together
HELD = 256  # patches that are enough for a PSNR


@dataclass(frozen=True)
class Pairs:
    """Single bands at both resolutions, in the units of `sr_bands.stretch`.

    Attributes:
        low: (M, 1, h, w).
        high: (M, 1, h * scale, w * scale).
        span: (M, 1, 1, 1) reflectance of one unit.
    """

    low: Array
    high: Array
    span: Array


def blur(size: int, scale: int, mtf: float) -> NDArray[np.float64]:
    """(size // scale, size) matrix: Gaussian of this MTF, sampled every ``scale`` pixels.

    Low pixel i lies over high pixels i * scale … i * scale + scale - 1, so its centre is between
    pixels when the scale is even. Weights are normalised, also where the border cuts them.
    """
    sigma = scale * np.sqrt(-2 * np.log(mtf)) / np.pi
    centres = (np.arange(size // scale) + 0.5) * scale - 0.5
    weights = np.exp(-((np.arange(size) - centres[:, None]) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdims=True)


def degrade(sen2: Array, bands: tuple[str, ...], scale: int) -> Array:
    """(N, H, W, C) reflectance to (N, H / scale, W / scale, C), each band by its own MTF."""
    rows = np.stack([blur(sen2.shape[1], scale, MTF[band]) for band in bands])
    columns = np.stack([blur(sen2.shape[2], scale, MTF[band]) for band in bands])
    moved = np.moveaxis(sen2, -1, 1)
    return np.moveaxis(rows @ moved @ columns.swapaxes(1, 2), 1, -1).astype(np.float32)


def pair(sen2: Array, bands: tuple[str, ...], scale: int) -> Pairs:
    """Pairs of all bands of (N, H, W, C) patches, cut to a multiple of the scale."""
    sen2 = sen2[:, : sen2.shape[1] // scale * scale, : sen2.shape[2] // scale * scale]
    low, high = sr_bands.planes(degrade(sen2, bands, scale)), sr_bands.planes(sen2)
    base, span = sr_bands.ranges(low)
    return Pairs(sr_bands.stretch(low, base, span), sr_bands.stretch(high, base, span), span)


def held_out(source: Source) -> NDArray[np.bool_]:
    """(N,) rows never trained on: every tenth city, or where none is known 2 of 20 runs of rows.

    Never single rows: the neighbours of a patch overlap it.
    """
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


def bands(source: Source, side: int) -> tuple[str, ...]:
    """Names of the sen2 bands; StageError for one without known MTF or sides < ``side`` pixels."""
    rows = source["sen2"]
    names = rows.layout.bands if rows.layout else ()
    if unknown := sorted(set(names) - set(MTF)):
        raise StageError(f"{source.path}: sen2: no MTF known for {unknown}, only for {list(MTF)}")
    if min(rows.shape[1:3]) < side:
        found = f"{rows.shape[1]} × {rows.shape[2]}"
        raise StageError(
            f"{source.path}: sen2: expected sides of scale × window = {side} pixels, found {found}"
        )
    return names


def load(source: Source, bands: tuple[str, ...], scale: int, rows: int) -> tuple[Pairs, Pairs]:
    """Training pairs and held-out pairs of about ``rows`` rows of a patch file.

    Raises:
        StageError: too few rows to hold some out.
    """
    held, chosen = held_out(source), list(blocks(source.total, rows))
    found: tuple[list[Pairs], list[Pairs]] = ([], [])
    with bar(sum(s.stop - s.start for s in chosen), "read") as progress:
        for block in chosen:
            sen2 = source["sen2"][block]
            for kept, part in zip((~held[block], held[block]), found, strict=True):
                if kept.any():
                    part.append(pair(sen2[kept], bands, scale))
            progress.update(len(sen2))
    if not found[0] or not found[1]:
        raise StageError(
            f"{source.path}: expected rows to learn from and rows to hold out, found "
            f"{sum(len(p.low) for p in found[0]) // len(bands)} and "
            f"{sum(len(p.low) for p in found[1]) // len(bands)}"
        )
    return _join(found[0]), _some(_join(found[1]), len(bands))


def _join(parts: list[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("low", "high", "span")))


def _some(pairs: Pairs, bands: int) -> Pairs:
    """At most HELD patches, spread evenly, with all their bands."""
    patches = len(pairs.low) // bands
    kept = np.unique(np.linspace(0, patches - 1, min(patches, HELD)).astype(int))
    planes = (kept[:, None] * bands + np.arange(bands)).ravel()
    return Pairs(pairs.low[planes], pairs.high[planes], pairs.span[planes])
