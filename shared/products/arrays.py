"""Arrays of numpy: .npy with all bands, .npz with bands at 10 and 20 m."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from shared import scenes
from shared.errors import StageError
from shared.products.contents import Array, metadata
from shared.products.names import ORDER, USUAL
from shared.products.product import Band, Product, factor_of
from shared.products.stack import Image, Place, Units, assemble
from shared.reading import numpy_files

FINE, COARSE = ("B2", "B3", "B4", "B8"), ("B5", "B6", "B7", "B8A", "B11", "B12")
KEYS = {"b10m": FINE, "b20m": COARSE, "b60m": ("B1", "B9"),
        "s2_10m": FINE, "s2_20m": COARSE, "s2_60m": ("B1", "B9")}  # fmt: skip


def read(
    path: Path,
    channels: tuple[str, ...],
    index: int | None,
    units: Units,
    place: Place | None = None,
) -> Product:
    """Open an array.

    Args:
        path: .npy of (H, W, C) or (N, H, W, C); .npz of b10m, b20m, b60m, or of one such array.
        channels: names of the C bands; () for the usual order of 10, 12 or 13.
        index: which of N images.
        units: what its numbers mean.
        place: where it lies, if that is known; then it is held in memory.

    Raises:
        StageError: cut, objects instead of numbers, other axes, names that do not fit.
    """
    parts = _load(path)
    known = {key: parts[key] for key in KEYS if key in parts}
    if not known:
        if len(parts) != 1:
            found = ", ".join(list(parts)[:8])
            raise StageError(f"{path}: expected arrays {', '.join(KEYS)} or one, found {found}")
        known = {"": next(iter(parts.values()))}
    bands: dict[str, Array] = {}
    for key, values in known.items():
        image = _one_image(path, values, index)
        names = KEYS.get(key) or channels or USUAL.get(image.shape[2], ())
        if len(names) != image.shape[2]:
            expected = f"names of {image.shape[2]} bands"
            raise StageError(f"{path}: expected {expected}, found {len(names)}; --channels B2,B3,…")
        for number, name in enumerate(names):
            bands[name] = Array(f"{path}: {key or name}", image[..., number])
    if place:
        images = {name: Image(_image(name, bands[name], place)) for name in bands}
        return assemble(path.stem, images, units)
    shape = max((layer.shape for layer in bands.values()), default=(0, 0))
    return Product(
        path.stem,
        {name: _band(bands[name], shape, units) for name in ORDER if name in bands},
        scenes.Grid(), shape, metadata.find_level(path.stem),
        date=metadata.find_date(path.stem),
        states_offset=units.offset is not None,
    )  # fmt: skip


def _load(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name; that of a .npy is mapped, not read."""
    try:
        if path.suffix.lower() == ".npz":
            return numpy_files.read_arrays(path)
        return {"": numpy_files.map_array(path)}
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StageError(f"{path}: not a complete file of numpy ({reason})") from None


def _image(name: str, layer: Array, place: Place) -> Any:
    """The layer as an image in memory that has a place."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.transform import Affine

    left, bottom, right, top = place.bounds
    (height, width), address = layer.shape, f"/vsimem/{name}.tif"
    try:
        with rasterio.open(
            address, "w", driver="GTiff", height=height, width=width, count=1,
            dtype=layer.values.dtype, crs=f"EPSG:{place.epsg}",
            transform=Affine((right - left) / width, 0, left, 0, (bottom - top) / height, top),
        ) as image:  # fmt: skip
            image.write(layer.values, 1)
    except (RasterioError, TypeError, ValueError) as error:
        raise StageError(
            f"--epsg: expected a reference system, found {place.epsg} ({error})"
        ) from None
    return rasterio.open(address)


def _one_image(path: Path, values: NDArray[Any], index: int | None) -> NDArray[Any]:
    """(H, W, C) of an array."""
    if values.dtype.kind not in "fiu" or values.ndim not in (3, 4) or not values.size:
        found = f"{values.dtype} {values.shape}"
        raise StageError(f"{path}: expected numbers (H, W, C) or (N, H, W, C), found {found}")
    if values.ndim == 3:
        if index is not None:
            raise StageError(f"--index: expected none for one image, found {index}")
        return values
    if index is None or index >= len(values):
        raise StageError(f"{path}: expected --index 0 to {len(values) - 1}, found {index}")
    return values[index]


def _band(layer: Array, shape: tuple[int, int], units: Units) -> Band:
    whole = layer.values.dtype.kind in "iu"
    usual = 10_000.0 if whole else 1.0
    nodata = units.nodata if units.nodata is not None else (0.0 if whole else None)
    factor = factor_of(layer.where, layer.shape, shape)
    return Band(layer, factor, units.per_unit or usual, units.offset or 0.0, nodata)
