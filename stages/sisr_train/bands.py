"""Rows of a pair file as the network sees them: all bands on the grid of the finest ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError

Image = NDArray[np.float64]  # (H, W, C) reflectance


@dataclass(frozen=True)
class Layout:
    """The bands of a pair file.

    Attributes:
        side: pixels of a side of the input.
        factor: output pixels along one of the input.
        metres: size of an input pixel.
        low: names of the bands that are on the grid of the input.
        coarse: names of those whose pixels are twice as large; often none.
        referenced: how many of all these, from the first one on, the finer sensor has.
        truth: names of the bands of which the truth is known, in a file of drawn pairs.
    """

    side: int
    factor: int
    metres: float
    low: tuple[str, ...]
    coarse: tuple[str, ...]
    referenced: int
    truth: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """(C,) bands of the input and the output, in order."""
        return self.low + self.coarse

    @property
    def mtf(self) -> dict[str, float]:
        """Modulation transfer of each band, at the Nyquist frequency of its own pixels."""
        return {name: sisr.SENTINEL2_MTF[name] for name in self.names}


@dataclass(frozen=True)
class Row:
    """A row of a pair file; reflectance.

    Attributes:
        number: of the row in the file.
        low: (h, w, C).
        coarse: (h/2, w/2, C''), maybe no bands.
        high: (f·h, f·w, C').
        truth: (f·h, f·w, C'+), None where it is not known.
        flow: (h, w, 2), likewise.
    """

    number: int
    low: Image
    coarse: Image
    high: Image
    truth: Image | None
    flow: NDArray[np.float32] | None


def read_layout(pairs: sisr.Pairs) -> Layout:
    """The bands of an open pair file.

    Raises:
        StageError: bands that Sentinel-2 does not have, or other ones in the finer images.
    """
    form = pairs.form
    empty = sisr.Bands((), 0.0)
    low, coarse = (form.bands.get(name, empty) for name in ("low", "coarse"))
    high, truth = (form.bands.get(name, empty).names for name in ("high", "truth"))
    names = low.names + coarse.names
    if unknown := [name for name in names if name not in sisr.SENTINEL2_MTF]:
        expected = f"expected bands of Sentinel-2 ({', '.join(sisr.SENTINEL2_MTF)})"
        raise StageError(f"{pairs.path}: low: {expected}, found {unknown[0]}")
    for name, bands in (("high", high), ("truth", truth)):
        if bands != names[: len(bands)]:
            expected = f"expected the bands {', '.join(names)} or the first of them"
            raise StageError(f"{pairs.path}: {name}: {expected}, found {', '.join(bands)}")
    if coarse.names and coarse.metres != 2 * low.metres:
        expected = f"expected pixels of {2 * low.metres:g} m"
        raise StageError(f"{pairs.path}: coarse: {expected}, found {coarse.metres:g} m")
    return Layout(
        form.side, form.factor, low.metres, low.names, coarse.names, referenced=len(high),
        truth=truth,
    )  # fmt: skip


def read_rows(pairs: sisr.Pairs, rows: NDArray[np.intp]) -> Iterator[Row]:
    """These rows, one after the other."""
    for row in rows:
        shown = {name: _read(pairs, name, int(row)) for name in pairs.form.bands}
        side = pairs.form.side // 2
        flow = pairs.source["flow"].raw(slice(row, row + 1))[0] if pairs.form.simulated else None
        none = np.empty((side, side, 0))
        coarse = shown.get("coarse", none)
        yield Row(int(row), shown["low"], coarse, shown["high"], shown.get("truth"), flow)


def _read(pairs: sisr.Pairs, name: str, row: int) -> Image:
    stored = pairs.source[name].raw(slice(row, row + 1))[0]
    image: Image = stored.astype(np.float64) / sisr.PER_UNIT
    return image


def join(row: Row) -> Image:
    """(h, w, C) the input: the coarser bands are enlarged bicubically."""
    return (
        np.concatenate([row.low, sisr.enlarge(row.coarse, 2)], -1) if row.coarse.size else row.low
    )


def degrade(row: Row, layout: Layout) -> Image:
    """(h/f, w/f, C) the input as it would be if both sensors' pixels were f times as large."""
    parts = [downscale(row.low, layout.factor, layout.low)]
    if layout.coarse:
        parts.append(sisr.enlarge(downscale(row.coarse, layout.factor, layout.coarse), 2))
    return np.concatenate(parts, -1)


def downscale(image: Image, factor: int, names: tuple[str, ...]) -> Image:
    """(H / factor, W / factor, C) as Sentinel-2 would see it, each band by its own MTF."""
    planes = [
        sisr.downscale(image[..., band : band + 1], factor, sisr.SENTINEL2_MTF[name])
        for band, name in enumerate(names)
    ]
    return np.concatenate(planes, -1)
