"""Registration without a network: phase correlation of whole images, and window by window.

Kuglin and Hines 1975; the peak is found between pixels by evaluating the correlation there
(Guizar-Sicairos et al. 2008).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WINDOW, STRIDE = 32, 8  # pixels of a window, and from one to the next
STEP = 0.05  # pixels between the places at which the correlation is evaluated

Array = NDArray[np.floating]


def find_shifts(reference: Array, moving: Array, reach: float) -> NDArray[np.float64]:
    """One shift for each pair of images.

    Args:
        reference: (N, h, w).
        moving: (N, h, w).
        reach: pixels along each axis that no shift exceeds.

    Returns:
        (N, 2) down and to the right: `moving` shows at place + shift what `reference` shows.
    """
    spectra = [np.fft.fft2(_taper(image)) for image in (reference, moving)]
    cross = spectra[0].conj() * spectra[1]
    cross /= np.maximum(np.abs(cross), 1e-12)
    count = round(reach / STEP)
    places = np.arange(-count, count + 1) * STEP
    down, right = (
        np.exp(2j * np.pi * places[:, None] * np.fft.fftfreq(cells)) for cells in cross.shape[1:]
    )
    height = np.einsum("dy,nyx,rx->ndr", down, cross, right, optimize=True).real
    best = height.reshape(len(height), -1).argmax(1)
    found = np.stack(np.unravel_index(best, height.shape[1:]), -1)
    shifts: NDArray[np.float64] = places[found]
    return shifts


def _taper(images: Array) -> NDArray[np.float64]:
    """Images (N, h, w) around 0 that end softly."""
    high, wide = (np.hanning(cells + 2)[1:-1] for cells in images.shape[1:])
    weight = high[:, None] * wide
    mean = (images * weight).sum((1, 2), keepdims=True) / weight.sum()
    tapered: NDArray[np.float64] = (images - mean) * weight
    return tapered


def shift_whole(reference: Array, moving: Array, reach: float) -> NDArray[np.float32]:
    """(h, w, 2) the same shift everywhere, of a pair (h, w) each."""
    shift = find_shifts(reference[None], moving[None], reach)[0]
    return np.broadcast_to(shift.astype(np.float32), (*reference.shape, 2))


def shift_windows(reference: Array, moving: Array, reach: float) -> NDArray[np.float32]:
    """(h, w, 2) shifts of windows, and linear between their middles."""
    side = min(WINDOW, *reference.shape)
    pair = [
        np.lib.stride_tricks.sliding_window_view(image, (side, side))[::STRIDE, ::STRIDE]
        for image in (reference, moving)
    ]
    rows, columns = pair[0].shape[:2]
    low, high = (windows.reshape(-1, side, side) for windows in pair)
    shifts = find_shifts(low, high, reach)
    grid = shifts.reshape(rows, columns, 2)
    places = np.meshgrid(
        *((np.arange(cells) - (side - 1) / 2) / STRIDE for cells in reference.shape), indexing="ij"
    )
    flow = [
        ndimage.map_coordinates(grid[..., axis], places, order=1, mode="nearest") for axis in (0, 1)
    ]
    return np.stack(flow, -1).astype(np.float32)
