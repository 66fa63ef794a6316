"""Pairs by Wald's protocol: patches of Sentinel-2, and what a coarser Sentinel-2 sees of them."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches, sisr
from shared.errors import StageError
from stages.pairs.samples import Layout, Row, Sample, as_int16

BANDS = ("B2", "B3", "B4", "B8")
METRES = 10.0  # of a pixel of the patches


def open_layout(src: Path, scale: int) -> Layout:
    """One row for each patch; its city is its site, or it is one of its own where none is known.

    Args:
        src: patch file with sen2 (N, H, H, C) reflectance.
        scale: by which low is coarser than the patches.

    Raises:
        StageError: it has no such file, bands or shape, or its cities have no names.
    """
    source = patches.read(src, "sen2")  # open as long as rows are read from it
    total, height, width, _ = source["sen2"].shape
    bands = (source["sen2"].layout or lcz.SEN2).bands
    if missing := [name for name in BANDS if name not in bands]:
        raise StageError(f"{src}: sen2: expected {', '.join(BANDS)}, found no {missing[0]}")
    if height != width or height < 2 * scale:
        expected = f"expected squares of {2 * scale} pixels or more"
        raise StageError(f"{src}: sen2: {expected}, found {height} x {width}")
    sites = _name_sites(source, total)
    rows = [Row(site, 0, (number,)) for number, site in enumerate(sites)]
    form = sisr.Form(
        height // scale,
        {"low": sisr.Bands(BANDS, METRES * scale), "high": sisr.Bands(BANDS, METRES)},
    )
    places = [bands.index(name) for name in BANDS]
    read = functools.partial(_read, source=source, scale=scale, places=places)
    return Layout(form, rows, read, functools.partial(_name, src=src))


def _name_sites(source: patches.Source, rows: int) -> list[str]:
    """The city of each row."""
    if "city" not in source:
        return [f"patch {number}" for number in range(rows)]
    numbers = source["city"].raw(slice(None))
    stored = source["city"].stored
    if "names" not in stored.attrs:
        return [f"city {number}" for number in numbers]
    names = patches.attributes.read_texts(stored, "names")
    return [names[number] if 0 <= number < len(names) else f"city {number}" for number in numbers]


def _name(row: Row, src: Path) -> str:
    return f"{src}: row {row.parts[0]}"


def _read(row: Row, source: patches.Source, scale: int, places: list[int]) -> Sample:
    (number,) = row.parts
    patch = source["sen2"][slice(number, number + 1)][0][..., places].astype(np.float64)
    return make_pair(patch, scale, _name(row, source.path))


def make_pair(patch: NDArray[np.float64], scale: int, where: str) -> Sample:
    """The two images of a patch.

    Args:
        patch: (H, H, 4) reflectance of `BANDS`; what fills no pixel of `low` is cut off.
        scale: by which low is coarser.
        where: for messages.
    """
    whole = len(patch) // scale * scale
    high = as_int16(patch[:whole, :whole] * sisr.PER_UNIT, where)
    low = [
        sisr.downscale(high[..., [number]].astype(np.float64), scale, sisr.SENTINEL2_MTF[band])
        for number, band in enumerate(BANDS)
    ]
    return {"low": as_int16(np.concatenate(low, -1), where), "high": high}
