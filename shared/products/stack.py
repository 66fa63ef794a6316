"""Images of people's own: one file with all bands, or one file per band; also EO Browser's."""

import re
from dataclasses import dataclass
from typing import Any

from shared import scenes
from shared.errors import StageError
from shared.names import address
from shared.products import masks
from shared.products.contents import (
    Files,
    Raster,
    expect_same_place,
    grid_of,
    is_ten_metres,
    metadata,
    open_raster,
    reproject,
    utm_grid,
)
from shared.products.names import ORDER, USUAL, find_name, read_name
from shared.products.product import Band, Mask, Product, factor_of

ENDINGS = (".tif", ".tiff", ".jp2")
# EO Browser's raw bands are scaled to the whole range of their type.
SCL = re.compile(r"(?<![A-Za-z0-9])SCL(?![A-Za-z0-9])", re.I)
BROWSER = re.compile(r"\(Raw\)", re.I)
RANGE = {"uint8": 255.0, "uint16": 65_535.0}


@dataclass(frozen=True)
class Units:
    """What stored numbers of a file without metadata mean, as the caller says.

    Attributes:
        per_unit: stored number of reflectance 1; None for that of the type: 10,000 for whole
            numbers, 1 for others.
        offset: what is added to stored numbers; None for nothing.
        nodata: stored value of a missing pixel; None for that of the file, or 0.
    """

    per_unit: float | None = None
    offset: float | None = None
    nodata: float | None = None


@dataclass(frozen=True)
class Place:
    """Where an array lies, as the caller says.

    Attributes:
        epsg: number of its reference system.
        bounds: left, bottom, right, top in units of that system.
    """

    epsg: int
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class Image:
    """One band of an open file."""

    image: Any
    index: int = 1


def read_file(path: Any, channels: tuple[str, ...], units: Units) -> Product:
    """Open one file whose channels are bands.

    Raises:
        StageError: nothing says which channel is which band.
    """
    image = open_raster(address(path), str(path))
    names = channels or name_channels(str(path), image.descriptions)
    if len(names) != image.count:
        raise StageError(f"{path}: expected {len(names)} channels, found {image.count}; --channels")
    found = {name: Image(image, index) for index, name in enumerate(names, 1) if name}
    return assemble(path.stem, found, units)


def name_channels(where: str, descriptions: Any) -> tuple[str, ...]:
    """Bands of channels, by their descriptions or their number; "" for one that is no band.

    Raises:
        StageError: neither says it.
    """
    named = [read_name(text) or "" if text else "" for text in descriptions]
    if any(named):
        return tuple(named)
    if len(named) in USUAL:
        return USUAL[len(named)]
    expected = "10, 12 or 13 channels, or their names"
    example = "--channels B02,B03,B04,B08"
    raise StageError(f"{where}: expected {expected}, found {len(named)}; {example}")


def read_folder(files: Files, wanted: tuple[str, ...], units: Units) -> Product:
    """Open a folder or zip with one file per band: the bands that are wanted.

    Raises:
        StageError: no such files, or several of one band.
    """
    found: dict[str, Image] = {}
    for name in files.names:
        short = name.rpartition("/")[2]
        band = find_name(short) if short.lower().endswith(ENDINGS) else None
        if band not in wanted:
            continue
        if band in found:
            both = f"{found[band].image.name} and {name}"
            raise StageError(f"{files.path}: expected one file for {band}, found {both}")
        found[band] = Image(files.open(name))
    if not found:
        expected = "a SAFE or Theia product, or images named by their bands (…_B02.tif)"
        raise StageError(f"{files.path}: expected {expected}, found none")
    shorts = {name: name.rpartition("/")[2] for name in files.names}
    scl = [
        n for n, short in shorts.items() if SCL.search(short) and short.lower().endswith(ENDINGS)
    ]
    classes = Raster(files.open(scl[0])) if scl else None  # of several the finest: 20m, 60m
    return assemble(files.path.stem, found, units, classes)


def assemble(
    stem: str, found: dict[str, Image], units: Units, classes: Raster | None = None
) -> Product:
    """A product of single bands, all of one place; reprojected where they are not of 10 m."""
    first = max(found.values(), key=lambda one: one.image.height)
    for one in found.values():
        expect_same_place(one.image, first.image)
    ready = is_ten_metres(first.image)
    grid, shape = grid_of(first.image), (first.image.height, first.image.width)
    if not ready:
        grid, shape = utm_grid(first.image)
    bands = {name: _band(found[name], units, ready, grid, shape) for name in ORDER if name in found}
    told = " ".join((stem, first.image.name.rpartition("/")[2]))
    level = metadata.find_level(told)
    return Product(
        stem, bands, grid, shape, level, date=metadata.find_date(told),
        mask=_mask(classes, first.image) if classes and ready else None,
        states_offset=units.offset is not None,
    )  # fmt: skip


def _band(one: Image, units: Units, ready: bool, grid: scenes.Grid, shape: tuple[int, int]) -> Band:
    image, kind = one.image, one.image.dtypes[one.index - 1]
    if kind.startswith("complex"):  # of which only the real part would be read
        raise StageError(f"{image.name}: expected real numbers, found {kind}")
    usual = 10_000.0 if kind.startswith(("uint16", "int", "uint32")) else 1.0
    if BROWSER.search(image.name):
        usual = RANGE.get(kind, 1.0)
    elif kind == "uint8" and units.per_unit is None:
        raise StageError(
            f"{image.name}: expected reflectance, found a picture of 8 bits; --per_unit"
        )
    nodata = units.nodata if units.nodata is not None else image.nodata
    nodata = 0.0 if nodata is None and kind.startswith(("uint", "int")) else nodata
    if not ready:
        image = reproject(image, grid, shape, nodata)
        nodata = image.nodata
    layer = Raster(image, one.index)
    factor = factor_of(layer.where, layer.shape, shape)
    return Band(layer, factor, units.per_unit or usual, units.offset or 0.0, nodata)


def _mask(classes: Raster, first: Any) -> Mask:
    expect_same_place(classes.dataset, first)
    shape = first.height, first.width
    return masks.from_codes(classes, factor_of(classes.where, classes.shape, shape), masks.SCL)
