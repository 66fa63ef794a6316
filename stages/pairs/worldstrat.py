"""WorldStrat: SPOT images of 1.5 m, each with Sentinel-2 images of several dates around it."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from stages.pairs import dates, rasters
from stages.pairs.samples import Layout, Row, Sample, as_int16

FINE = "hr_dataset"
COARSE = ("lr_dataset_l2a", "lr_dataset")  # of either edition; images lie in ID/L2A
METRES, LOW = 1.5, 10.0  # of a pixel of SPOT and of Sentinel-2
SIDE, MARGIN = 128, 10  # pixels of Sentinel-2 that are taken, and left out before them
BANDS = ("B2", "B3", "B4", "B8")
LOW_PLACES, HIGH_PLACES = (1, 2, 3, 7), (2, 1, 0, 3)  # of BANDS among 12 bands; among R, G, B, NIR
APART = 20.0  # metres by which the two may differ along a side
DIGITAL = 20.0  # reflectance that no land has: the values are digital numbers


def open_layout(src: Path, scale: int, max_delta: int, mtf: float) -> Layout:
    """One row for each tile of the published table that has a date close to that of SPOT.

    Args:
        src: folder with hr_dataset/ and lr_dataset_l2a/ or lr_dataset/.
        scale: 4 brings SPOT to 2.5 m, 2 to 5 m.
        max_delta: days; the date must be nearer than this.
        mtf: of the filter that brings it there.

    Raises:
        StageError: no table; an image of SPOT that is missing; no tile with such a date.
    """
    coarse = next((src / name for name in COARSE if (src / name).is_dir()), src / COARSE[0])
    table, known = dates.read_splits(src / dates.SPLIT), dates.read_dates(src / dates.DATES)
    rows, far, absent = list[Row](), 0, 0
    for tile, split in sorted(table.items()):
        folder, fine = coarse / tile / "L2A", src / FINE / tile / f"{tile}_ps.tiff"
        if not folder.is_dir():
            absent += 1
            continue
        nearest = dates.find_nearest(folder, known)
        if nearest is None or nearest[0] >= max_delta:
            far += 1
            continue
        if not fine.is_file():
            raise StageError(f"{fine}: expected the image of 1.5 m of {folder}, found none")
        rows.append(Row(tile, nearest[2], (fine, nearest[1]), split))
    if not rows:
        found = f"{far} whose dates are further apart, {absent} without images"
        raise StageError(f"{coarse}: expected tiles with a date within --max_delta, found {found}")
    note = (
        f"not among them: tiles whose dates are {max_delta} days or more apart ({far}), tiles of "
        f"{dates.SPLIT} without images ({absent})"
    )
    form = sisr.Form(SIDE, {"low": sisr.Bands(BANDS, LOW), "high": sisr.Bands(BANDS, LOW / scale)})
    return Layout(form, rows, functools.partial(_read, scale=scale, mtf=mtf), _name, note)


def _name(row: Row) -> str:
    """The coarser image of a row."""
    return f"{row.parts[1]}"


def _read(row: Row, scale: int, mtf: float) -> Sample:
    fine, coarse = row.parts
    low, high = rasters.read(coarse).pixels, rasters.read(fine).pixels
    check_sizes(low, high, coarse, fine)
    with np.errstate(invalid="ignore"):  # a signalling NaN is a missing pixel as any other
        made = bring_to_grid(high, scale, mtf, f"{fine}")
        return {"low": crop_low(low, f"{coarse}"), "high": made}


def check_sizes(low: NDArray[Any], high: NDArray[Any], coarse: Path, fine: Path) -> None:
    """Refuse images that have other bands, are too small or show land of another size."""
    ends = (MARGIN + SIDE) * LOW
    for pixels, metres, bands, path in ((low, LOW, 12, coarse), (high, METRES, 4, fine)):
        if pixels.shape[2] != bands or min(pixels.shape[:2]) * metres < ends:
            least = int(np.ceil(ends / metres))
            expected = f"expected {bands} bands of {least}x{least} pixels or more"
            raise StageError(f"{path}: {expected}, found shape {pixels.shape}")
    for ours, other in zip(low.shape[:2], high.shape[:2], strict=True):
        if abs(ours * LOW - other * METRES) > APART:
            expected = f"expected the land of {coarse.name}, {ours * LOW:g} m along a side"
            raise StageError(f"{fine}: {expected}, found {other * METRES:g} m")


def crop_low(pixels: NDArray[Any], where: str) -> NDArray[np.int16]:
    """(SIDE, SIDE, 4) of (H, W, 12) reflectance; zeros in all bands are missing."""
    inside = slice(MARGIN, MARGIN + SIDE)
    part = pixels[inside, inside].astype(np.float64)
    if np.nanmax(part, initial=0) > DIGITAL:
        expected = "expected reflectance of 0 … 1"
        raise StageError(f"{where}: {expected}, found {np.nanmax(part):,.0f}: digital numbers")
    part[(part == 0).all(-1)] = np.nan
    return as_int16(part[..., LOW_PLACES] * sisr.PER_UNIT, where)


def bring_to_grid(pixels: NDArray[Any], scale: int, mtf: float, where: str) -> NDArray[np.int16]:
    """(scale * SIDE, scale * SIDE, 4) of (H, W, 4) pixels of 1.5 m; zeros are missing."""
    step = LOW / scale / METRES
    sigma = sisr.spread(mtf, step)
    down, across = (
        sisr.weigh(cells, scale * SIDE, step, sigma, MARGIN * LOW / METRES)
        for cells in pixels.shape[:2]
    )
    made = sisr.apply(pixels[..., HIGH_PLACES].astype(np.float64), down, across)
    missing = (pixels == 0).all(-1, keepdims=True).astype(np.float64)
    touched = sisr.apply(missing, down, across)[..., 0] > 1e-3
    made[touched] = np.nan
    return as_int16(made, where)
