"""How well two sensors agree on a pair."""

import numpy as np
from numpy.typing import NDArray

from shared.sisr.form import PER_UNIT
from shared.sisr.psf import downscale

MTF = 0.1  # of the finer image, brought to the coarser grid before the two are compared


def correlate(low: NDArray[np.generic], high: NDArray[np.generic], factor: int) -> float:
    """Absolute Pearson correlation of the two images, each as the mean of its bands.

    Args:
        low: (h, w, C).
        high: (factor * h, factor * w, C), the same bands.
        factor: how many pixels of `high` lie along one of `low`.

    Returns:
        0 to 1; 0 where an image has one value only, of which no correlation can be told.
    """
    fine, ours = (image.astype(np.float64).mean(2) for image in (high, low))
    coarse = downscale(fine[..., None], factor, MTF).ravel()
    ours = ours.ravel()
    coarse, ours = coarse - coarse.mean(), ours - ours.mean()
    size = float(np.linalg.norm(coarse) * np.linalg.norm(ours))
    return min(1.0, abs(float(coarse @ ours)) / size) if size > 1e-6 * ours.size else 0.0


def sum_values(image: NDArray[np.integer]) -> NDArray[np.float64]:
    """(2, C) sums of x and x² over the pixels of (H, W, C), x being reflectance."""
    values = image.reshape(-1, image.shape[-1]).astype(np.int64)
    return np.stack([values.sum(0) / PER_UNIT, (values**2).sum(0) / PER_UNIT**2])
