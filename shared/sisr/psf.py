"""Point spread of a sensor from its MTF, and images as a coarser sensor would see them.

The point spread is a Gaussian, whose modulation transfer function is a Gaussian as well: at the
Nyquist frequency 1 / (2·res) it is exp(-(π·sigma / res)² / 2), which `spread` solves for sigma.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shared.resampling import cubic

# MTF of Sentinel-2 at the Nyquist frequency of each band's own resolution (sensorsio).
SENTINEL2_MTF = {
    "B2": 0.304, "B3": 0.276, "B4": 0.233, "B5": 0.343, "B6": 0.336, "B7": 0.338, "B8": 0.222,
    "B8A": 0.325, "B11": 0.21, "B12": 0.19,
}  # fmt: skip
REACH = 4.0  # deviations on either side: what lies further out weighs less than 0.0001

Image = NDArray[np.floating]


def spread(mtf: float, resolution: float) -> float:
    """Standard deviation of the Gaussian point spread of a sensor, in the unit of `resolution`.

    Args:
        mtf: modulation transfer at the Nyquist frequency of `resolution`, between 0 and 1.
        resolution: size of a pixel.

    Raises:
        ValueError: an mtf outside 0 … 1, both excluded: a bug in the caller.
    """
    if not 0 < mtf < 1:
        raise ValueError(f"mtf: expected a number between 0 and 1, found {mtf:g}")
    return resolution / np.pi * float(np.sqrt(-2 * np.log(mtf)))


def weigh(
    cells: int, count: int, step: float, sigma: float, first: float = 0.0
) -> sparse.csr_array:
    """(count, cells) weights of fine cells in coarse pixels along one axis; rows sum to 1.

    Each weight is the Gaussian at the true distance of the two centres. A filter on the fine grid
    and a cubic decimation after it would multiply the MTF by that of the cubic: at a factor of 2 by
    0.88 or, with the parameter -0.75 of torch, by 0.97. Cells beyond an end are those before it,
    mirrored (reflect: the last one is not repeated).

    Args:
        cells: number of fine cells.
        count: number of coarse pixels.
        step: size of a coarse pixel in cells.
        sigma: of the point spread in cells.
        first: where the first coarse pixel begins, in cells.
    """
    centres = first + (np.arange(count)[:, None] + 0.5) * step - 0.5
    reach = int(np.ceil(REACH * sigma))
    near = np.floor(centres).astype(int) + np.arange(-reach, reach + 2)[None]
    apart = np.abs(near - centres) / sigma
    weight = np.exp(-0.5 * apart**2) * (apart <= REACH)
    weight /= weight.sum(1, keepdims=True)
    before, behind = max(0, -int(near.min())), max(0, int(near.max()) - cells + 1)
    mirrored = np.pad(np.arange(cells), (before, behind), mode="reflect")[near + before]
    rows = np.broadcast_to(np.arange(count)[:, None], near.shape)
    places = (rows.ravel(), mirrored.ravel())
    return sparse.csr_array((weight.ravel(), places), shape=(count, cells))


def apply(image: Image, down: sparse.csr_array, across: sparse.csr_array) -> NDArray[np.float64]:
    """(H, W, C) with weights (h, H) along the columns and (w, W) along the rows: (h, w, C)."""
    high, wide, bands = image.shape
    lines = (down @ image.reshape(high, -1)).reshape(-1, wide, bands)
    turned = np.ascontiguousarray(lines.swapaxes(0, 1)).reshape(wide, -1)
    made: NDArray[np.float64] = (across @ turned).reshape(-1, len(lines), bands).swapaxes(0, 1)
    return np.ascontiguousarray(made)


def downscale(image: Image, factor: float, mtf: float) -> NDArray[np.float64]:
    """An image as a sensor with pixels `factor` times as large would see it.

    Args:
        image: (H, W, C).
        factor: size of the new pixels in old ones, 1 or more; it need not be whole.
        mtf: of that sensor at the Nyquist frequency of the new pixels, between 0 and 1.

    Returns:
        (H // factor, W // factor, C); the upper left corner stays where it is.
    """
    sigma = spread(mtf, factor)
    down, across = (weigh(n, int(n / factor + 1e-9), factor, sigma) for n in image.shape[:2])
    return apply(image, down, across)


def enlarge(image: Image, factor: int, a: float = -0.5) -> NDArray[np.float64]:
    """An image on pixels `factor` times as small, by cubic convolution (Keys 1981).

    Args:
        image: (H, W, C); pixels beyond an edge are those at it.
        factor: whole number.
        a: slope of the weights one pixel away; torch has -0.75, which sharpens.

    Returns:
        (factor * H, factor * W, C); the upper left corner stays where it is.
    """
    down, across = (_interpolate(count, factor, a) for count in image.shape[:2])
    return apply(image, down, across)


def _interpolate(count: int, factor: int, a: float) -> sparse.csr_array:
    """(factor * count, count) weights of a cubic at half-pixel centres along one axis."""
    place = (np.arange(count * factor)[:, None] + 0.5) / factor - 0.5
    near = np.floor(place).astype(int) + np.arange(-1, 3)[None]
    weight = cubic.weigh(near - place, a)
    rows = np.broadcast_to(np.arange(count * factor)[:, None], near.shape)
    places = (rows.ravel(), near.clip(0, count - 1).ravel())
    return sparse.csr_array((weight.ravel(), places), shape=(count * factor, count))
