"""Sen2Venµs version 2: per site a folder with index.csv and zips of GeoTIFFs, read in place."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.sisr import venus
from stages.pairs import index, rasters
from stages.pairs.samples import Layout, Row, Sample, as_int16

Columns = dict[str, tuple[str, ...]]  # of each image and field


def open_layout(sites: list[Path], bands: venus.Choice) -> Layout:
    """The rows of all sites, in order of their names and of their tables.

    Raises:
        StageError: what `index.list_patches` refuses; the first image is none.
    """
    columns: Columns = {**venus.COLUMNS[bands]}
    truth = venus.TRUTH[bands]
    simulated = all(truth[0] in index.read_columns(site / index.NAME) for site in sites)
    if simulated:
        metres = columns["low"][0].rpartition("_")[2]
        columns |= {"truth": truth} | {n: (f"{n}_{metres}",) for n in venus.FIELDS}
    needed = [column for group in columns.values() for column in group]
    rows = [
        Row(site.name, date, (site, paths))
        for site in sites
        for date, paths in index.list_patches(site, needed)
    ]
    described = {n: venus.describe_columns(c) for n, c in columns.items() if n in sisr.IMAGES}
    site, paths = rows[0].parts
    side = len(_read_image(site, paths[0]).pixels)
    form = sisr.Form(side, described, simulated)
    return Layout(form, rows, functools.partial(_read, form=form, columns=columns), _name)


def _name(row: Row) -> str:
    """The coarser image of a row."""
    site, paths = row.parts
    return f"{site / paths[0]}"


def _read_image(site: Path, path: str) -> rasters.Raster:
    archive, _, member = path.partition(".zip/")
    return rasters.read(site / f"{archive}.zip", member)


def _read(row: Row, form: sisr.Form, columns: Columns) -> Sample:
    """The images of a row; its fields in units of `low`, as the pair file has them."""
    site, paths = row.parts
    sample, bounds, left = Sample(), None, list(paths)
    for name, group in columns.items():
        parts = []
        for column in group:
            path = left.pop(0)
            raster, where = _read_image(site, path), f"{site / path}"
            if raster.bounds and bounds and not np.allclose(raster.bounds, bounds, atol=0.5):
                expected = f"expected the ground of {paths[0]}, {bounds}"
                raise StageError(f"{where}: {expected}, found {raster.bounds}")
            bounds = bounds or raster.bounds
            parts.append(_check(raster.pixels, name, column, form, where))
        sample[name] = np.concatenate(parts, -1)
    return sample


def _check(
    pixels: NDArray[Any], name: str, column: str, form: sisr.Form, where: str
) -> NDArray[Any]:
    """(H, W, C) a column as the pair file has it.

    Raises:
        StageError: another size or number of bands, or other numbers.
    """
    image = name in form.bands
    grid = form.shape(name if image else "low")[:2]
    channels = {"flow": 2, "gain": len(venus.FINE), "offset": len(venus.FINE)}
    shape = (*grid, len(venus.describe_columns((column,)).names) if image else channels[name])
    if pixels.shape != shape or pixels.dtype.kind not in ("iu" if image else "f"):
        kind = "whole" if image else "floating-point"
        found = f"{pixels.dtype} of shape {pixels.shape}"
        raise StageError(f"{where}: expected {kind} numbers of shape {shape}, found {found}")
    if image:
        return as_int16(pixels, where)
    if name == "flow":
        return (pixels / form.bands["low"].metres).astype(np.float32)
    return pixels[..., [venus.FINE.index(band) for band in form.bands["high"].names]]
