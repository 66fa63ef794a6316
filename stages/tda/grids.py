"""The grid: what every cell of a persistence image stands for; fitted once, stored, used again."""

import functools
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import patches, progress
from shared.errors import StageError
from stages.tda import vectors, workers
from stages.tda.settings import QUANTILE, Setting

SAMPLE_PIXELS = 2**20  # a fit looks at about this many pixels of each band: 1024 patches of 32 x 32
FINEST = 0.25  # a cell is at least this many sigma wide: a finer one shows nothing more
FIT_ROWS = 32  # patches in one task of a fit


def fit(rows: patches.Rows, setting: Setting, pool: workers.Pool) -> NDArray[np.float64]:
    """The grid of one file, from evenly spaced rows of the whole of it, whatever the shard.

    Returns:
        (C, 2, 2, 2) float64: band, homology dimension, (birth, persistence), (low, high).
    """
    bands, ends = len(setting.layout.bands), []
    sample = space_rows(len(rows), max(1, SAMPLE_PIXELS // int(np.prod(rows.shape[1:3]))))
    blocks = np.split(sample, range(FIT_ROWS, len(sample), FIT_ROWS))
    values = (np.concatenate([rows[slice(r, r + 1)] for r in block.tolist()]) for block in blocks)
    with progress.bar(len(sample), "grid") as bar:
        for one in pool(functools.partial(vectors.find_ends, setting=setting), values):
            ends.append(one)
            bar.update(min(FIT_ROWS, len(sample) - bar.n))
    table = np.empty((bands, 2, 2, 2))
    for band, dimension in itertools.product(range(bands), (0, 1)):
        birth, persistence = np.concatenate([block[band][dimension] for block in ends], axis=1)
        table[band, dimension] = axes(birth, persistence, setting)
    return table


def space_rows(total: int, count: int) -> NDArray[np.intp]:
    """At most ``count`` of the rows 0 … total - 1, evenly spaced, first and last among them."""
    return np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(np.intp))


def axes(
    birth: NDArray[np.float64], persistence: NDArray[np.float64], setting: Setting
) -> NDArray[np.float64]:
    """(2, 2) low and high of both axes: quantiles of the points, persistence from 0."""
    if not len(birth):  # constant bands, say: nothing to go by
        return np.array([[0.0, 255.0], [0.0, 255.0]])
    low, high = np.quantile(birth, [QUANTILE, 1 - QUANTILE])
    longest = np.quantile(persistence, 1 - QUANTILE)
    least = narrowest(setting)
    return np.array([[low, max(high, low + least)], [0.0, max(longest, least)]])


def narrowest(setting: Setting) -> float:
    """Length of the shortest axis, in units of the band."""
    return FINEST * setting.sigma * (setting.bins - 1)


def load(path: Path, setting: Setting) -> NDArray[np.float64]:
    """The grid of another features file.

    Raises:
        StageError: no grid in it, or one of other bands, scaling, bins, sigma or essential class.
    """
    with patches.read(path, "grid") as source:
        stored = source["grid"]
        for name, expected in setting.identity().items():
            value = stored.attribute(name)
            if value != expected:
                raise StageError(
                    f"--grid: {path}: expected a grid with {name} {expected}, found {value}"
                )
        shape = (len(setting.layout.bands), 2, 2, 2)
        if stored.shape != shape:
            raise StageError(f"--grid: {path}: grid: expected {shape}, found {stored.shape}")
        table = np.asarray(stored.raw(slice(None)), np.float64)
    least = narrowest(setting) * (1 - 1e-6)
    if not (np.isfinite(table).all() and (table[..., 1] - table[..., 0] >= least).all()):
        raise StageError(f"--grid: {path}: grid: expected axes of {least:.4g} or more, low to high")
    return table
