"""Tile files as `landcover` writes them, from arrays."""

from pathlib import Path

import h5py
import numpy as np

from shared import tiles


def write_tiles(
    path: Path, image: np.ndarray, mask: np.ndarray, classes: tuple[str, ...] = tiles.CLASSES
) -> Path:
    """A tile file whose rows are these (N, S, S, 3) images and (N, S, S) masks."""
    count = len(classes)
    with h5py.File(path, "w") as file:
        file["image"], file["mask"] = image, mask
        file["counts"] = np.stack([tiles.count_classes(one, count) for one in mask])
        pairs = zip(image, mask, strict=True)
        file["image_moments"] = np.stack([tiles.sum_colours(*pair) for pair in pairs])
        file["ignore"] = np.array([tiles.IGNORE], np.uint8)
        file.attrs["classes"] = list(classes)
    return path


def random_tiles(count: int = 9, side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(N, S, S, 3) noise, and (N, S, S) classes with pixels of no class between them."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    mask = rng.choice(np.array([0, 1, 2, 3, 4, tiles.IGNORE], np.uint8), (count, side, side))
    return image, mask
