"""A features file and the patch file it was made of: checked against each other, read by rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.errors import StageError
from shared.patches import attributes, hdf5


@dataclass(frozen=True)
class Pair:
    """Both files, open, and what the features mean.

    Attributes:
        source: patch file.
        features: features file of the same rows.
        modality: image dataset of the patch file.
        layout: its bands and scaling.
        grid: (C, 2, 2, 2) band; homology dimension; birth, persistence; low, high.
        bins: cells along each axis of an image.
        essential: whether the component that never dies is in the features.
    """

    source: patches.Source
    features: patches.Source
    modality: str
    layout: lcz.Layout
    grid: NDArray[np.float64]
    bins: int
    essential: bool

    def band(self, row: int, band: int) -> NDArray[np.float64]:
        """(H, W) of one patch, 0 … 255."""
        values = self.source[self.modality][slice(row, row + 1)][0, :, :, band]
        return np.asarray(self.layout.scale(values.astype(np.float64)), np.float64)

    def images(self, rows: slice) -> NDArray[np.float32]:
        """(rows, C, 2, bins, bins): persistence descending, birth ascending."""
        stored = self.features["features"][rows]
        return stored.reshape(len(stored), len(self.layout.bands), 2, self.bins, self.bins)


def match_files(source: patches.Source, features: patches.Source) -> Pair:
    """Both files as one.

    Raises:
        StageError: features that are not persistence images, or made of other bands, scaling or
            rows than the patch file has.
    """
    with patches.read(features.path, "grid") as constant:
        grid = np.asarray(constant["grid"].raw(slice(None)), np.float64)
        facts = _read_facts(constant["grid"].stored)
    modality, bins = facts["modality"], facts["bins"]
    if facts["kind"] != "image":
        raise StageError(
            f"{features.path}: expected persistence images, found kind {facts['kind']}"
        )
    layout = source[modality].layout or lcz.PRESETS[modality]
    for name in ("bands", "low", "high", "clip"):
        _same(features, name, facts[name], getattr(layout, name))
    bands = len(layout.bands)
    _same(features, "grid", grid.shape, (bands, 2, 2, 2))
    _same(features, "features", features["features"].shape[1:], (bands * 2 * bins * bins,))
    _same(features, "rows", features.total, source.total)
    if not np.array_equal(features.labels(), source.labels()):
        raise StageError(f"{features.path}: expected the labels of {source.path}, found others")
    return Pair(source, features, modality, layout, grid, bins=bins, essential=facts["essential"])


def _read_facts(grid: hdf5.Dataset) -> dict[str, Any]:
    """What the features were made of and how; StageError names an attribute that is wrong."""
    numbers = {name: attributes.read_number(grid, name) for name in ("low", "high")}
    texts = {name: attributes.read_text(grid, name) for name in ("kind", "modality")}
    flags = {name: attributes.read_flag(grid, name) for name in ("clip", "essential")}
    bins = int(attributes.read_number(grid, "bins"))
    bands = attributes.read_texts(grid, "bands")
    return {"bins": bins, "bands": bands, **numbers, **texts, **flags}


def _same(features: patches.Source, name: str, stored: Any, expected: Any) -> None:
    if stored != expected:
        raise StageError(f"{features.path}: {name}: expected {expected}, found {stored}")


def means(both: Pair) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Mean persistence image of each class over all rows, read block by block.

    Returns:
        (K, C, 2, bins, bins), zero for a class without rows; (K,) rows of each class.
    """
    labels, classes = both.features.labels(), len(both.features.classes)
    sums = np.zeros((classes, both.features["features"].shape[1]))
    for rows in both.features["features"].blocks():
        values = both.features["features"][rows]
        for k in np.unique(labels[rows]):
            sums[k] += values[labels[rows] == k].sum(0, dtype=np.float64)
    counts = np.bincount(labels, minlength=classes)
    shape = (classes, len(both.layout.bands), 2, both.bins, both.bins)
    return (sums / np.maximum(counts, 1)[:, None]).reshape(shape), counts
