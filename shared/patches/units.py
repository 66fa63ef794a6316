"""Whether values are in the units of their dataset: reflectance, radar intensity, 8-bit colour.

Most of the values decide, never a single pixel: bright clouds, dark water and outliers are data.
Digital numbers, decibels and marks of missing data are far from the range nearly everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz

# So many rows of a block, and pixels along each side of a patch, are looked at, so that the check
# costs next to nothing: 20 microseconds a block of any size, where decoding 128 rows takes 1,700.
ROWS, SIDE = 128, 4
# Values count as outside when they are this share of the range beyond it. Reflectance that was
# corrected by the offset of a processing baseline (0.1 of 2.8) is slightly negative over water.
MARGIN = 0.05
MOST = 0.5  # share of the values outside from which they cannot be in the right unit
NEARLY_ALL = 0.9  # share of the values of a single band, the others being right
# Radar has no range, and a bright city lies outside -0.5 … 0.5 rightly. Intensities are never
# negative, though, and in decibels they nearly always are (-30 … 0, VH below -5 even in cities);
# and +20 dB, which a corner reflector reaches, is no city's. One band in which nearly all values
# say so is enough. Real and imaginary parts have either sign and say nothing.
BRIGHTEST = 100.0
SIGNED = ("_real", "_imag")  # ends of the names of such bands
DECIBELS = -200.0  # lower values are marks of missing data, not decibels
DIGITAL = 255.0  # reflectance in values that no byte holds is in digital numbers


def thin_out(values: NDArray[Any]) -> NDArray[Any]:
    """(N, H, W, C) to about (ROWS, SIDE, SIDE, C): evenly spread rows and pixels."""
    rows, down, across = (
        max(1, size // kept) for size, kept in zip(values.shape, (ROWS, SIDE, SIDE), strict=False)
    )
    return values[::rows, ::down, ::across]


def explain_wrong_units(values: NDArray[np.floating], name: str, layout: lcz.Layout) -> str:
    """What the values look like instead and what to do; "" when they may be what they should.

    Args:
        values: (N, H, W, C) physical values; those that are not finite say nothing.
        name: of the dataset.
        layout: its bands and range.
    """
    if not np.isfinite(values).any():
        return ""
    if layout.clip:
        return _explain_radar(values, name, layout)
    if _are_fractions(values, layout):
        return f"{name} looks like fractions ({_span(values)}): multiply by {layout.high:g}"
    margin = MARGIN * (layout.high - layout.low)
    outside = (values < layout.low - margin) | (values > layout.high + margin)
    if not outside.any():
        return ""
    seen = np.maximum(1, np.isfinite(values).sum((0, 1, 2)))
    counts = outside.sum((0, 1, 2))
    if counts.sum() > MOST * seen.sum():
        return _explain_range(values, name, name, layout)
    if (counts >= NEARLY_ALL * seen).any():
        band = int((counts / seen).argmax())
        return _explain_range(values[..., band], name, f"{name}: {layout.bands[band]}", layout)
    return ""


def _explain_range(values: NDArray[np.floating], name: str, what: str, layout: lcz.Layout) -> str:
    """What values (…) are of which most lie outside the range; ``what`` they are the values of."""
    if name == "sen2" and np.nanmedian(values) > layout.high and np.nanmax(values) > DIGITAL:
        number = f"values up to {_tell(np.nanmax(values))}"
        cure = "divide by 10,000, or `prepare --scale 1e-4`"
        return f"{what} looks like digital numbers ({number}): {cure}"
    expected = f"expected values of {layout.low:g} … {layout.high:g}, found {_span(values)}"
    if np.nanmax(values) < layout.low:
        return f"{what}: {expected}: marks of missing data; take such rows out"
    flags = ", as `prepare --scale` and `--offset` do" if name == "sen2" else ""
    return f"{what}: {expected}, most of them outside; bring them to that range{flags}"


def _are_fractions(values: NDArray[np.floating], layout: lcz.Layout) -> bool:
    """Whether colours of 0 … 255 come as 0 … 1; a black picture has whole numbers."""
    if layout.high < 100 or np.nanmax(values) > 1:
        return False
    return bool((values % 1 != 0).any()) and np.nanmin(values) >= 0


def _explain_radar(values: NDArray[np.floating], name: str, layout: lcz.Layout) -> str:
    """The same for radar: intensities cannot be negative, nor a whole patch very bright."""
    for index, band in enumerate(layout.bands):
        one = values[..., index]
        if band.endswith(SIGNED):
            continue
        enough = NEARLY_ALL * max(1, int(np.isfinite(one).sum()))
        if np.count_nonzero(one < layout.low) >= enough:
            if np.nanmin(one) < DECIBELS:
                expected = f"expected intensities, 0 or more, found {_span(one)}"
                return f"{name}: {band}: {expected}: marks of missing data; take such rows out"
            return (
                f"{name}: {band} looks like decibels ({_span(one)}): expected intensities, "
                "10 ** (decibels / 10)"
            )
        if np.count_nonzero(one > BRIGHTEST) >= enough:
            return (
                f"{name}: {band} looks like digital numbers ({_span(one)}): expected calibrated "
                "intensities"
            )
    return ""


def _span(values: NDArray[np.floating]) -> str:
    return f"{_tell(np.nanmin(values))} to {_tell(np.nanmax(values))}"


def _tell(value: np.floating) -> str:
    """A number as people write it: 9,000 or 0.0123."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
