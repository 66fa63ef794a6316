"""A block of patches to rows of features: which description, how many numbers, in which order."""

import itertools

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from stages.tda import curves, diagrams
from stages.tda.settings import Setting

LARGEST = float(np.finfo(np.float16).max)
CHUNK = 64  # patches of one band at once: their images stay in the processor's cache
Ends = tuple[NDArray[np.float64], NDArray[np.float64]]  # H0 and H1, each (birth persistence, M)


def width(setting: Setting) -> int:
    """Numbers per band and homology dimension."""
    bins, kind = setting.bins, setting.kind
    return {
        "image": bins * bins,
        "landscape": setting.layers * bins,
        "stats": len(curves.STATISTICS),
    }.get(kind, bins)


def features(
    block: NDArray[np.float32], table: NDArray[np.float64], setting: Setting
) -> NDArray[np.float16]:
    """(N, H, W, C) physical values to (N, C * 2 * width) features.

    Order of the last axis: band, homology dimension, then the numbers of the description.

    Args:
        block: finite.
        table: (C, 2, 2, 2) the grid.
        setting: scaling, description, bins, sigma, essential class, backend.

    Raises:
        StageError: a value beyond float16.
    """
    count, bands = len(block), block.shape[3]
    out = np.empty((count, bands, 2, width(setting)), np.float16)
    for band, first in itertools.product(range(bands), range(0, count, CHUNK)):
        rows = slice(first, min(first + CHUNK, count))
        both = diagrams.points(
            setting.scale(block[rows, :, :, band]), setting.essential, setting.backend
        )
        for dimension, points in enumerate(both):
            drawn = draw(points, rows.stop - first, table[band, dimension], setting)
            if drawn.max() > LARGEST:
                hint = "; a larger --sigma makes images fainter" if setting.kind == "image" else ""
                raise StageError(
                    f"--features: {setting.kind}: expected at most {LARGEST:.0f}, the largest "
                    f"float16, found {drawn.max():.3g}{hint}"
                )
            out[rows, band, dimension] = (
                to_half_precision(drawn) if setting.kind == "image" else drawn
            )
    return out.reshape(count, -1)


def to_half_precision(values: NDArray[np.floating]) -> NDArray[np.float16]:
    """(…) from 0 to LARGEST, rounded to float16; below its smallest normal number, 6.1e-5, to 0.

    By whole numbers: `astype` takes five to ten times as long, most of it on the faint far tails
    of the Gaussians, as long as drawing the image.
    """
    stored = np.asarray(values, np.float32).view(np.int32)
    bits = stored >> 13
    bits &= 1
    bits += 0xFFF - (112 << 23)  # exponents count from 2**-14, not from 2**-126
    bits += stored
    bits >>= 13  # what this cuts off has been rounded, ties to even
    bits *= bits >= 1 << 10
    return bits.astype(np.uint16).view(np.float16)


def draw(
    points: diagrams.Points, count: int, axes: NDArray[np.float64], setting: Setting
) -> NDArray[np.floating]:
    """(N, width) numbers of one band and dimension on its (2, 2) axes."""
    from stages.tda import images

    at = curves.levels(axes, setting.bins)
    match setting.kind:
        case "image":
            return images.image(points, count, axes, setting.bins, setting.sigma).reshape(count, -1)
        case "betti":
            drawn = curves.betti(points, count, at)
        case "silhouette":
            drawn = curves.silhouette(points, count, at, setting.power)
        case "landscape":
            drawn = curves.landscape(points, count, at, setting.layers)
        case _:
            drawn = curves.statistics(points, count)
    return drawn.reshape(count, -1)


def find_ends(block: NDArray[np.float32], setting: Setting) -> list[Ends]:
    """Births and persistences of all patches (N, H, W, C), one pair H0, H1 per band.

    The essential class is left out: one point per patch, longer than all others, it would stretch
    the axis until most of the others fall into one cell.
    """
    ends = []
    for band in range(block.shape[3]):
        both = diagrams.points(setting.scale(block[..., band]), False, setting.backend)
        h0, h1 = (np.stack([p.birth, p.persistence]) for p in both)
        ends.append((h0, h1))
    return ends
