"""How many of the 256 levels of an 8-bit picture the bands of a patch file use.

Students see values in 8-bit levels, as the pictures of the bundle hold them. Where the values of a
band lie in few levels, as those of blue in a desert do in 0 … 2.8, differences are lost.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.models.preprocessing import round_to_levels, stretch
from shared.patches import Rows

PIXELS, RUNS = 2**18, 16  # of each band are looked at: of runs of rows, evenly spread
SHARE = 0.98  # of the values, those in the middle
FEW_LEVELS = 16  # a band that spans fewer levels loses what a network could learn from


def span_levels(
    rows: Rows,
    channels: Sequence[int] | None = None,
    limits: Sequence[tuple[float, float]] | None = None,
) -> NDArray[np.intp]:
    """(C,) levels from the lowest to the highest of the middle SHARE of each band, both counted.

    Args:
        rows: of an image dataset; at most about PIXELS pixels of each band are read.
        channels: C of them; None for all.
        limits: low and high of each one, as a card has them; None for the scale of the file.

    Raises:
        StageError: values that are not finite or not in their unit.
    """
    assert rows.layout is not None
    values = rows.layout.scale(read_runs(rows, PIXELS, RUNS)[0])
    values = values if channels is None else values[..., list(channels)]
    values = values if limits is None else stretch(values, limits)
    levels = round_to_levels(values).astype(np.intp).reshape(-1, values.shape[-1])
    counts = np.stack([np.bincount(band, minlength=256) for band in levels.T])
    below = counts.cumsum(1) / len(levels)  # share of the values up to each level
    tail = (1 - SHARE) / 2
    return np.asarray((below < 1 - tail).sum(1) - (below <= tail).sum(1) + 1)


def read_runs(rows: Rows, pixels: int, runs: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(n, H, W, C) values of rows that are spread over a dataset, and the numbers of these rows.

    Args:
        rows: of an image dataset.
        pixels: of each band, about so many at most.
        runs: of rows, at most; all rows are read in one where there are few.
    """
    taken = _runs(rows, pixels, runs)
    numbers = np.concatenate([np.arange(run.start, run.stop) for run in taken])
    return np.concatenate([rows[run] for run in taken]), numbers


def _runs(rows: Rows, pixels: int, runs: int) -> list[slice]:
    """Runs of rows from the first to the last row; all rows in one where there are few."""
    count = max(1, pixels // int(np.prod(rows.shape[1:3])))
    if len(rows) <= count:
        return [slice(0, len(rows))]
    length = max(1, count // runs)
    starts = np.linspace(0, len(rows) - length, min(count, runs)).astype(int).tolist()
    return [slice(start, start + length) for start in starts]


def describe_levels(rows: Rows) -> list[str]:
    """A line that states the levels of a dataset, and one that warns where they are too few."""
    layout, spans = rows.layout, span_levels(rows)
    assert layout is not None
    of_bands = list(zip(layout.bands, spans.tolist(), strict=True))
    of = f"levels of 256 ({layout.low:g} … {layout.high:g})"
    stated = ", ".join(f"{band} {span}" for band, span in of_bands)
    lines = [f"{rows.name}: {of} that the middle {SHARE:.0%} of each band spans: {stated}"]
    flat = [band for band, span in of_bands if span == 1]
    few = [band for band, span in of_bands if 1 < span < FEW_LEVELS]
    if flat:
        lines.append(f"warning: {rows.name}: no variation in {', '.join(flat)}")
    if few:
        lost = (
            "a network that sees 8-bit levels misses most differences there without --range fitted"
        )
        lines.append(
            f"warning: {rows.name}: fewer than {FEW_LEVELS} levels in {', '.join(few)}: {lost}"
        )
    return lines
