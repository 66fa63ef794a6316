"""Wald's protocol: lose resolution as the sensor would, so that what was lost is known."""

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.patches import Source

Array = NDArray[np.float32]

# Modulation transfer function at the Nyquist frequency, per band: Ulfarsson et al. 2019,
# "Sentinel-2 Sharpening Using a Reduced-Rank Method", the values of its published code.
MTF = {
    "B1": 0.32, "B2": 0.26, "B3": 0.28, "B4": 0.24, "B5": 0.38, "B6": 0.34, "B7": 0.34,
    "B8": 0.26, "B8A": 0.33, "B9": 0.26, "B11": 0.22, "B12": 0.23,
}  # fmt: skip


def check_bands(source: Source) -> tuple[str, ...]:
    """Names of the sen2 bands of a patch file; StageError for a band without a known MTF."""
    layout = source["sen2"].layout
    names = layout.bands if layout else ()
    if unknown := sorted(set(names) - set(MTF)):
        raise StageError(f"{source.path}: sen2: no MTF known for {unknown}, only for {list(MTF)}")
    return names


def blur_matrix(size: int, scale: int, mtf: float) -> NDArray[np.float64]:
    """(size // scale, size) matrix: Gaussian of this MTF, sampled every ``scale`` pixels.

    Low pixel i lies over high pixels i * scale … i * scale + scale - 1, so its centre is between
    pixels when the scale is even. Weights are normalised, also where the border cuts them.
    """
    sigma = scale * np.sqrt(-2 * np.log(mtf)) / np.pi
    centres = (np.arange(size // scale) + 0.5) * scale - 0.5
    weights = np.exp(-((np.arange(size) - centres[:, None]) ** 2) / (2 * sigma**2))
    return weights / weights.sum(1, keepdims=True)


def crop(sen2: Array, scale: int) -> Array:
    """(N, H, W, C) without last rows and columns that fill no pixel ``scale`` times as large."""
    return sen2[:, : sen2.shape[1] // scale * scale, : sen2.shape[2] // scale * scale]


def degrade(sen2: Array, bands: tuple[str, ...], scale: int) -> Array:
    """(N, H, W, C) reflectance to (N, H / scale, W / scale, C), each band by its own MTF."""
    rows = np.stack([blur_matrix(sen2.shape[1], scale, MTF[band]) for band in bands])
    columns = np.stack([blur_matrix(sen2.shape[2], scale, MTF[band]) for band in bands])
    moved = np.moveaxis(sen2, -1, 1)
    return np.moveaxis(rows @ moved @ columns.swapaxes(1, 2), 1, -1).astype(np.float32)
