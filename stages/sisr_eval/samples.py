"""One row of a pair file: what networks get, and the images that they are held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.sisr import fidelity

Image = NDArray[np.float64]  # (H, W, C) reflectance on the finer grid
TARGET, TRUTH = "target", "truth"
IMAGES = {TARGET: "high", TRUTH: "truth"}  # of a pair file


@dataclass(frozen=True)
class Frame:
    """What holds for all rows.

    Attributes:
        bands: (C,) of the input: those of low, then those of coarse.
        factors: (C,) finer pixels along one of each band's own.
        side: pixels of a side of the finer images.
        margin: finer pixels along the border that are measured nowhere.
        grids: by name of the image, the bands of low and of coarse.
    """

    bands: tuple[str, ...]
    factors: tuple[int, ...]
    side: int
    margin: int
    grids: dict[str, slice]

    @property
    def factor(self) -> int:
        """Finer pixels along one of low."""
        return self.factors[0]

    @property
    def inside(self) -> tuple[slice, slice]:
        """What is measured of a finer image."""
        return (slice(self.margin, self.side - self.margin),) * 2

    def mtf(self, band: int) -> float:
        """Of Sentinel-2 at the Nyquist frequency of the band's own pixels."""
        return sisr.SENTINEL2_MTF[self.bands[band]]

    def within(self, band: int) -> tuple[slice, slice]:
        """What is measured of an image on the band's own grid."""
        edge = -(-self.margin // self.factors[band])
        return (slice(edge, self.side // self.factors[band] - edge),) * 2

    def shrink(self, image: Image, band: int) -> Image:
        """(h, w) a band of a finer image as Sentinel-2 sees it, on its own grid."""
        alone = image[..., band : band + 1]
        return sisr.downscale(alone, self.factors[band], self.mtf(band))[..., 0]

    def high_pass(self, image: Image, band: int) -> Image:
        """(H, W) a band of a finer image without what Sentinel-2 sees of it."""
        alone = image[..., band : band + 1]
        return fidelity.high_pass(alone, self.factors[band], self.mtf(band))[..., 0]


def frame(pairs: sisr.Pairs, margin: int) -> Frame:
    """What holds for all rows of a file.

    Raises:
        StageError: its images are too small for the margin; bands that Sentinel-2 does not have.
    """
    form = pairs.form
    grids, names, factors = dict[str, slice](), list[str](), list[int]()
    for name in ("low", "coarse"):
        if name in form.bands:
            grids[name] = slice(len(names), len(names) + len(form.bands[name].names))
            step = round(form.bands[name].metres / form.bands["high"].metres)
            names += form.bands[name].names
            factors += [step] * len(form.bands[name].names)
    if unknown := [name for name in names if name not in sisr.SENTINEL2_MTF]:
        expected = f"expected bands of Sentinel-2 ({', '.join(sisr.SENTINEL2_MTF)})"
        raise StageError(f"{pairs.path}: {expected}, found {unknown[0]}")
    side, least = form.shape("high")[0], 2 * (margin + 2 * fidelity.REACH)
    if side < least:
        expected = f"expected {least} pixels along a side of high or more with --margin {margin}"
        raise StageError(f"{pairs.path}: {expected}, found {side}")
    return Frame(tuple(names), tuple(factors), side, margin, grids)


@dataclass(frozen=True)
class Reference:
    """An image that a prediction is held against.

    Attributes:
        image: (H, W, C) with zeros in bands that it lacks.
        known: (C,) whether it has each band.
    """

    image: Image
    known: NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """One row.

    Attributes:
        number: of the row in the file.
        frame: what holds for all rows.
        own: (C,) each band as it was recorded, (h, w) reflectance on its own grid.
        references: "target" and, where it is known, "truth".
        flow: (h, w, 2) true displacement of the target in pixels of low, where it is known.
    """

    number: int
    frame: Frame
    own: tuple[Image, ...]
    references: dict[str, Reference]
    flow: NDArray[np.float32] | None

    @property
    def given(self) -> NDArray[np.float32]:
        """(C, h, w) what networks get: all bands on the grid of low."""
        steps = [factor // self.frame.factor for factor in self.frame.factors]
        return np.moveaxis(self._enlarge(steps), 2, 0).astype(np.float32)

    def enlarge(self, a: float) -> Image:
        """(H, W, C) the input, enlarged by a cubic with this a: each band in one step."""
        return self._enlarge(self.frame.factors, a)

    def _enlarge(self, steps: Sequence[int], a: float = -0.5) -> Image:
        """(H, W, C) each band by its own factor."""
        both = zip(self.own, steps, strict=True)
        return np.concatenate([sisr.enlarge(band[..., None], by, a) for band, by in both], 2)

    @cached_property
    def details(self) -> dict[str, Image]:
        """By reference (H, W, C) its high-pass part, zeros where it lacks a band."""
        made = {}
        for name, reference in self.references.items():
            made[name] = np.zeros_like(reference.image)
            for band in np.flatnonzero(reference.known):
                made[name][..., band] = self.frame.high_pass(reference.image, int(band))
        return made


def read(pairs: sisr.Pairs, frame: Frame, row: int) -> Sample:
    """A row of a file."""
    stored = {name: _read_image(pairs, name, row) for name in pairs.form.bands}
    own = tuple(
        stored[name][..., channel]
        for name in frame.grids
        for channel in range(stored[name].shape[2])
    )
    references = {
        told: _refer(stored[name], pairs.form.bands[name].names, frame)
        for told, name in IMAGES.items()
        if name in stored
    }
    known = "flow" in pairs.source
    flow = pairs.source["flow"].raw(slice(row, row + 1))[0] if known else None
    return Sample(row, frame, own, references, flow)


def _read_image(pairs: sisr.Pairs, name: str, row: int) -> Image:
    stored: Image = pairs.source[name].raw(slice(row, row + 1))[0] / sisr.PER_UNIT
    return stored


def _refer(image: Image, names: tuple[str, ...], frame: Frame) -> Reference:
    """An image with its bands in the order of the input's."""
    known = np.array([band in names for band in frame.bands])
    placed = np.zeros((*image.shape[:2], len(frame.bands)))
    for place, band in enumerate(frame.bands):
        if known[place]:
            placed[..., place] = image[..., names.index(band)]
    return Reference(placed, known)
