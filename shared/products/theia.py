"""Theia's L2A products, made by MAJA: GeoTIFFs in digital numbers, with masks of bits."""

import re

from shared.errors import StageError
from shared.products import masks
from shared.products.contents import Files, Raster, expect_same_place, grid_of, metadata
from shared.products.names import ORDER, find_name
from shared.products.product import Band, Mask, Product, factor_of

IMAGE = re.compile(r"(?:.*/)?SENTINEL2[^/]*_(FRE|SRE)_(B\d+A?)\.tif")
HEAD = re.compile(r"(?:.*/)?SENTINEL2[^/]*_MTD_ALL\.xml")
NODATA, PER_UNIT = -10_000.0, 10_000.0  # where the metadata do not say


def is_theia(files: Files) -> bool:
    """Whether these are the files of such a product."""
    return any(IMAGE.fullmatch(name) for name in files.names)


def read(files: Files) -> Product:
    """Open a product: FRE, flat reflectance, which is corrected for slopes; SRE without it.

    Raises:
        StageError: images of several products, of other sizes, cut files, no band at 10 m.
    """
    chosen: dict[str, str] = {}
    for kind in ("FRE", "SRE"):
        images = [name for name in files.names if (m := IMAGE.fullmatch(name)) and m[1] == kind]
        stems = {re.sub(r"_[FS]RE_.*", "", name.rpartition("/")[2]) for name in images}
        if len(stems) > 1:
            found = ", ".join(sorted(stems)[:3])
            raise StageError(f"{files.path}: expected one product, found {found}")
        if images:
            chosen = {str(find_name(name.rpartition("/")[2])): name for name in images}
            break
    opened = {name: files.open(chosen[name]) for name in ORDER if name in chosen}
    first = next((opened[name] for name in ("B2", "B3", "B4", "B8") if name in opened), None)
    if first is None:
        found = ", ".join(opened) or "none"
        raise StageError(f"{files.path}: expected band B2, B3, B4 or B8 at 10 m, found {found}")
    for image in opened.values():
        expect_same_place(image, first)
    shape, (nodata, per_unit) = (first.height, first.width), _numbers(files)
    bands = {
        name: Band(layer, factor_of(layer.where, layer.shape, shape), per_unit, 0.0, nodata)
        for name, layer in ((name, Raster(image)) for name, image in opened.items())
    }
    stem = re.sub(r"_[FS]RE_.*", "", next(iter(chosen.values())).rpartition("/")[2])
    return Product(
        stem, bands, grid_of(first), shape, "L2A", date=metadata.find_date(stem),
        mask=_mask(files, shape), states_offset=True,
    )  # fmt: skip


def _numbers(files: Files) -> tuple[float, float]:
    """Stored value of a missing pixel, and of reflectance 1."""
    head = next((name for name in files.names if HEAD.fullmatch(name)), "")
    if not head:
        return NODATA, PER_UNIT
    where = f"{files.path}: {head}"
    root = metadata.parse(files.text(head), where)
    per_unit = metadata.number(root, "REFLECTANCE_QUANTIFICATION_VALUE", where) or PER_UNIT
    for element in metadata.elements(root, "SPECIAL_VALUE"):
        if element.get("name") == "nodata":
            return metadata.to_number((element.text or "").strip(), where), per_unit
    return NODATA, per_unit


def _mask(files: Files, shape: tuple[int, int]) -> Mask | None:
    """The mask of clouds, and of snow and shadows where it is there; both at 10 m (R1)."""
    found = {}
    for kind in ("CLM", "MG2"):
        for name in files.names:
            if re.search(rf"_{kind}_R1\.tif$", name):
                layer = Raster(files.open(name))
                if layer.shape != shape:
                    raise StageError(f"{layer.where}: expected {shape}, found {layer.shape}")
                found[kind] = layer
    return masks.from_bits(found["CLM"], found.get("MG2")) if "CLM" in found else None
