"""The two images of one band of each pair, on the grid of low."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared import progress, registration, sisr
from shared.errors import StageError

BANDS = ("B8", "B8A")  # of which the first that low has is compared
SMALLEST = 6  # pixels of low along a side that a step sees


@dataclass(frozen=True)
class Band:
    """The band that is compared.

    Attributes:
        name: such as B8.
        metres: size of a pixel of low.
        mtf: of Sentinel-2, by which high is brought to that size.
        channels: its places in low and in high.
    """

    name: str
    metres: float
    mtf: float
    channels: tuple[int, int]


@dataclass(frozen=True)
class Images:
    """Rows of a pair file in one band.

    Attributes:
        both: (N, 2, h, w) float32 reflectance: low, and high on its grid.
        flow: (N, h, w, 2) float32 true flow; None where nobody knows it.
    """

    both: Tensor
    flow: Tensor | None


def choose_band(pairs: sisr.Pairs, wanted: str | None, max_offset: float) -> Band:
    """The band to compare.

    Raises:
        StageError: low and high do not both have it, its MTF is unknown, or images are too small.
    """
    low, high = (pairs.form.bands[image] for image in ("low", "high"))
    name = wanted or next((name for name in BANDS if name in low.names), BANDS[0])
    for image, bands in (("low", low), ("high", high)):
        if name not in bands.names:
            found = ", ".join(bands.names)
            raise StageError(f"--band: expected a band of {image} of {pairs.path} ({found}), "
                             f"found {name}")  # fmt: skip
    if name not in sisr.SENTINEL2_MTF:
        known = ", ".join(sisr.SENTINEL2_MTF)
        raise StageError(f"--band: expected a band whose MTF is known ({known}), found {name}")
    least = SMALLEST + 2 * registration.margin(max_offset)
    if pairs.form.side < least:
        expected = f"expected {least} pixels along a side of low or more"
        raise StageError(f"{pairs.path}: {expected}, found {pairs.form.side}")
    channels = (low.names.index(name), high.names.index(name))
    return Band(name, low.metres, sisr.SENTINEL2_MTF[name], channels)


def read(pairs: sisr.Pairs, rows: NDArray[np.intp], band: Band, what: str) -> Images:
    """The images of some rows; `what` names them beside the progress bar."""
    side, factor = pairs.form.side, pairs.form.factor
    both = np.empty((len(rows), 2, side, side), np.float32)
    flow = np.empty((len(rows), side, side, 2), np.float32) if pairs.form.simulated else None
    with progress.bar(len(rows), what) as bar:
        for place, row in enumerate(rows):
            here = slice(int(row), int(row) + 1)
            low, high = (
                pairs.source[name].raw(here)[0][..., [channel]]
                for name, channel in zip(("low", "high"), band.channels, strict=True)
            )
            both[place, 0] = low[..., 0] / sisr.PER_UNIT
            both[place, 1] = sisr.downscale(high / sisr.PER_UNIT, factor, band.mtf)[..., 0]
            if flow is not None:
                flow[place] = pairs.source["flow"].raw(here)[0]
            bar.update(1)
    return Images(torch.from_numpy(both), None if flow is None else torch.from_numpy(flow))


def draw_crops(both: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """A random place of each pair, turned and mirrored in one of eight ways.

    Args:
        both: (N, 2, h, w).
        side: pixels of it, h and w at most.
        rng: decides.

    Returns:
        (N, 2, side, side).
    """
    drawn = []
    for pair in both:
        top, left = (int(rng.integers(cells - side + 1)) for cells in pair.shape[1:])
        part = pair[:, top : top + side, left : left + side]
        part = torch.rot90(part, int(rng.integers(4)), (1, 2))
        drawn.append(part.flip(2) if rng.integers(2) else part)
    return torch.stack(drawn)
