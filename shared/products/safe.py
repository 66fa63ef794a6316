"""Sentinel-2 products of ESA, L1C and L2A, in their SAFE layout: a folder or a zip file."""

import re
from typing import Any

from shared import scenes
from shared.errors import StageError
from shared.products import masks
from shared.products.contents import Files, Raster, expect_same_place, grid_of, metadata
from shared.products.names import ORDER, find_name
from shared.products.product import Band, Mask, Product, factor_of

HEAD = re.compile(r"(?:.*/)?(?:MTD_MSIL(1C|2A)|S2._OPER_MTD_SAFL(1C|2A)[^/]*)\.xml")
IMAGE = re.compile(r"(?:.*/)?GRANULE/([^/]+)/IMG_DATA/(?:R\d0m/)?[^/]*_(B\d\d|B8A)(?:_\d0m)?\.jp2")
TILE = re.compile(r"_T(\d\d[A-Z]{3})_")
OFFSET_SINCE = 4.0  # processing baseline


def find_head(files: Files) -> str:
    """The metadata file of the product; "" when this is no SAFE product."""
    heads = [name for name in files.names if HEAD.fullmatch(name) and "/GRANULE/" not in f"/{name}"]
    if len(heads) > 1:
        raise StageError(f"{files.path}: expected one product, found {len(heads)}: {heads[:3]}")
    return heads[0] if heads else ""


def read(files: Files, head: str, wanted: tuple[str, ...]) -> Product:
    """Open a SAFE product: the bands that are wanted, and one of 10 m.

    Raises:
        StageError: bands of several tiles or granules, images of other sizes, cut files.
    """
    match = HEAD.fullmatch(head)
    level = f"L{match[1] or match[2]}" if match else ""
    where = f"{files.path}: {head}"
    root = metadata.parse(files.text(head), where)
    per_unit = metadata.number(root, "QUANTIFICATION_VALUE" if level == "L1C" else
                               "BOA_QUANTIFICATION_VALUE", where)  # fmt: skip
    offsets = read_offsets(root, level, where)
    images = _finest(files, head.rpartition("/")[0])
    fine = _ten_metres(images, files)
    opened = {n: files.open(image) for n, image in images.items() if n in {fine, *wanted}}
    first = opened[fine]
    grid, shape = grid_of(first), (first.height, first.width)
    bands = {}
    for name, image in opened.items():
        layer = Raster(image)
        factor = factor_of(layer.where, layer.shape, shape)
        expect_same_place(image, first)
        if offsets and name not in offsets:
            raise StageError(f"{where}: expected an ADD_OFFSET of every band, found none of {name}")
        bands[name] = Band(layer, factor, per_unit or 10_000.0, offsets.get(name, 0.0))
    baseline = metadata.text(root, "PROCESSING_BASELINE")
    states = bool(offsets) or (metadata.to_number(baseline or "9", where) < OFFSET_SINCE)
    uri = metadata.text(root, "PRODUCT_URI").removesuffix(".SAFE") or files.path.stem
    return Product(
        uri, bands, grid, shape, level,
        date=metadata.text(root, "PRODUCT_START_TIME"), mask=_mask(files, level, shape, grid),
        states_offset=states,
    )  # fmt: skip


def read_offsets(root: Any, level: str, where: str) -> dict[str, float]:
    """What is added to the digital numbers of each band; {} before baseline 04.00."""
    name = "RADIO_ADD_OFFSET" if level == "L1C" else "BOA_ADD_OFFSET"
    found = {}
    for element in metadata.elements(root, name):
        number = element.get("band_id", "")
        if not number.isdigit() or int(number) >= len(ORDER):
            raise StageError(f"{where}: {name}: expected band_id 0 to 12, found {number!r}")
        place = f"{where}: {name} {number}"
        found[ORDER[int(number)]] = metadata.to_number((element.text or "").strip(), place)
    return found


def _finest(files: Files, folder: str) -> dict[str, str]:
    """The image of each band, the finest where there are several."""
    images = [name for name in files.names if name.startswith(folder) and IMAGE.fullmatch(name)]
    granules = {match[1] for name in images if (match := IMAGE.fullmatch(name))}
    tiles = {match[1] for name in images if (match := TILE.search("_" + name.rpartition("/")[2]))}
    if len(granules) > 1 or len(tiles) > 1:
        found = ", ".join(sorted(tiles if len(tiles) > 1 else granules)[:4])
        raise StageError(f"{files.path}: expected bands of one tile, found those of {found}")
    chosen: dict[str, str] = {}
    for image in sorted(images, key=lambda image: re.sub(r".*_(\d0)m\.jp2", r"\1", image)):
        if name := find_name(image.rpartition("/")[2]):
            chosen.setdefault(name, image)
    return {name: chosen[name] for name in ORDER if name in chosen}


def _ten_metres(images: dict[str, str], files: Files) -> str:
    """A band whose pixels are 10 m."""
    for name in ("B2", "B3", "B4", "B8"):
        if name in images:
            return name
    found = ", ".join(images) or "none"
    raise StageError(f"{files.path}: expected band B2, B3, B4 or B8 at 10 m, found {found}")


def _mask(files: Files, level: str, shape: tuple[int, int], grid: scenes.Grid) -> Mask | None:
    """The mask of the product: SCL, MSK_CLASSI, or the polygons of before."""
    last = {name.rpartition("/")[2]: name for name in files.names}
    if level == "L2A":
        scl = min((n for n in last if re.search(r"_SCL(_\d0m)?\.jp2$", n)), default="")
        if scl:
            layer = Raster(files.open(last[scl]))
            return masks.from_codes(layer, factor_of(layer.where, layer.shape, shape), masks.SCL)
    if "MSK_CLASSI_B00.jp2" in last:
        image = files.open(last["MSK_CLASSI_B00.jp2"])
        layers = [Raster(image, index) for index in image.indexes[:3]]
        return masks.from_channels([*layers], factor_of(layers[0].where, layers[0].shape, shape))
    for short, name in last.items():
        if re.fullmatch(r"(?:.*_)?MSK_CLOUDS_(?:.*_)?B00(?:_MSIL1C)?\.gml", short):
            return masks.from_polygons(files.text(name), f"{files.path}: {name}", grid)
    return None
