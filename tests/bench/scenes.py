"""Patches to measure with: real Sentinel-2 ones where they are, smooth random ones elsewhere."""

from pathlib import Path

import numpy as np

from tests.conftest import write_patches
from tests.samples import SAMPLES


def write(path: Path, rows: int) -> str:
    """A patch file of (rows, 32, 32, 10) reflectance; says what is in it."""
    real = SAMPLES / "sentinel2" / "l2a_patches.npy"
    if real.is_file():
        kept = np.load(real, mmap_mode="r")
        sen2, what = kept[np.arange(rows) % len(kept), 16:48, 16:48] / 1e4, "real Sentinel-2"
    else:
        sen2, what = smooth(rows), "random smooth"
    label = np.eye(17)[np.arange(rows) % 17]
    sen1 = np.zeros((rows, 32, 32, 8))
    write_patches(path, {"sen2": sen2.clip(0, 2.8), "sen1": sen1, "label": label})
    return f"{what} patches"


def smooth(rows: int) -> np.ndarray:
    """(rows, 32, 32, 10) sums of waves with the spectrum of an image, 0.05 … 0.35, some noise."""
    rng = np.random.default_rng(0)
    wave = np.fft.fftfreq(32) * 32
    spectrum = 1 / (1 + np.hypot(wave[:, None], wave)) ** 1.5
    noise = rng.standard_normal((rows, 10, 32, 32))
    field = np.fft.ifft2(np.fft.fft2(noise) * spectrum).real
    field /= np.abs(field).max((2, 3), keepdims=True)
    fine = 0.002 * rng.standard_normal(field.shape)
    return np.moveaxis(0.2 + 0.15 * field + fine, 1, -1)
