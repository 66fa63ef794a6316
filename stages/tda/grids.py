"""The grid: what every cell of a persistence image stands for; fitted once, stored, used again."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches, progress
from shared.errors import StageError
from stages.tda import vectors, workers

QUANTILE = 0.005  # this share of the points lies beyond each end of an axis, in its border cell
SAMPLE_PIXELS = 2**20  # a fit looks at about this many pixels of each band: 1024 patches of 32 x 32
FINEST = 0.25  # a cell is at least this many sigma wide: a finer one shows nothing more
FIT_ROWS = 32  # patches in one task of a fit
LEVELS = "level ascending, from birth low to birth high + persistence high"
ORDER = {
    "image": "persistence descending; birth ascending",
    "landscape": f"layer descending; {LEVELS}",
    "silhouette": LEVELS,
    "betti": LEVELS,
    "stats": "points, entropy in bits; mean, deviation of birth, death, persistence; its maximum",
}


@dataclass(frozen=True)
class Setting:
    """What features must have in common to be comparable.

    Attributes:
        modality: sen1, sen2 or rgb.
        layout: bands and the scaling to 0 … 255.
        bins: cells along each axis of an image, levels of a curve.
        sigma: of the Gaussian, in units of the scaled band.
        essential: whether the component that never dies is kept.
        kind: image, landscape, silhouette, betti or stats.
        layers: of a landscape.
        power: of the weights of a silhouette.
        backend: gudhi or giotto; not part of the identity, both find the same points.
    """

    modality: str
    layout: lcz.Layout
    bins: int
    sigma: float
    essential: bool
    kind: str = "image"
    layers: int = 1
    power: float = 1.0
    backend: str = "gudhi"

    def scale(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Physical values of any shape to 0 … 255."""
        return self.layout.scale(values.astype(np.float64)).astype(np.float64)

    def identity(self) -> dict[str, Any]:
        """What two files must share, as it is stored beside the grid."""
        own: dict[str, dict[str, Any]] = {
            "landscape": {"layers": self.layers},
            "silhouette": {"power": self.power},
        }
        return {
            "modality": self.modality,
            "kind": self.kind,
            "bands": list(self.layout.bands),
            "bins": self.bins,
            "sigma": self.sigma,
            "essential": self.essential,
            "low": self.layout.low,
            "high": self.layout.high,
            "clip": self.layout.clip,
        } | own.get(self.kind, {})

    def attributes(self) -> dict[str, Any]:
        """The identity and, in words, what the axes of grid and features are."""
        return self.identity() | {
            "axes": "band; homology dimension 0, 1; birth, persistence; low, high",
            "unit": "band scaled so that low … high is 0 … 255",
            "features": f"band; homology dimension 0, 1; {ORDER[self.kind]}",
            "quantile": QUANTILE,
        }


def fit(rows: patches.Rows, setting: Setting, pool: workers.Pool) -> NDArray[np.float64]:
    """The grid of one file, from evenly spaced rows of the whole of it, whatever the shard.

    Returns:
        (C, 2, 2, 2) float64: band, homology dimension, (birth, persistence), (low, high).
    """
    bands, found = len(setting.layout.bands), []
    sample = spaced(len(rows), max(1, SAMPLE_PIXELS // int(np.prod(rows.shape[1:3]))))
    blocks = np.split(sample, range(FIT_ROWS, len(sample), FIT_ROWS))
    values = (np.concatenate([rows[slice(r, r + 1)] for r in block.tolist()]) for block in blocks)
    with progress.bar(len(sample), "grid") as bar:
        for one in pool(functools.partial(vectors.ends, setting=setting), values):
            found.append(one)
            bar.update(min(FIT_ROWS, len(sample) - bar.n))
    table = np.empty((bands, 2, 2, 2))
    for band, dimension in itertools.product(range(bands), (0, 1)):
        birth, persistence = np.concatenate([block[band][dimension] for block in found], axis=1)
        table[band, dimension] = axes(birth, persistence, setting)
    return table


def spaced(total: int, count: int) -> NDArray[np.intp]:
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
            value = value.tolist() if hasattr(value, "tolist") else value
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
