"""Sites as Sen2Venµs version 2 lays them out: index.csv, and a zip of GeoTIFFs for each column."""

import contextlib
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EPSG = 32631
WEST, NORTH = 399_960.0, 5_700_000.0  # of the first site; others lie 10 km further south each
TILE = "31UES"
DATE = "2020-06-15"
NEVER = (1980, 1, 1, 0, 0, 0)  # time of the members: the same content has the same bytes
DRAFT = "unfinished-"

Patch = Mapping[str, NDArray[np.generic]]  # (H, W, C) by column


def encode(pixels: NDArray[np.generic], metres: float, west: float, north: float) -> bytes:
    """A GeoTIFF of (H, W, C) pixels of `metres`, whose first corner lies at west, north."""
    import rasterio
    from rasterio.io import MemoryFile

    high, wide, bands = pixels.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": high, "width": wide, "count": bands, "dtype": pixels.dtype,
        "crs": f"EPSG:{EPSG}", "transform": rasterio.Affine(metres, 0, west, 0, -metres, north),
        "compress": "deflate", "interleave": "pixel", "photometric": "MINISBLACK",
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**profile) as file:
            file.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())


def write_site(dst: Path, name: str, place: int, metres: float, patches: Iterable[Patch]) -> None:
    """A folder that is there as a whole or not at all.

    Args:
        dst: folder of the sites.
        name: of the site.
        place: its number, which decides where it lies.
        metres: side of a patch; patches lie side by side.
        patches: all have the same columns.
    """
    draft = dst / f"{DRAFT}{name}"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir()
    lines, columns = list[str](), list[str]()
    with contextlib.ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}
        for number, patch in enumerate(patches):
            if not archives:
                columns = list(patch)
                archives = {c: stack.enter_context(_create(draft, name, c)) for c in columns}
            corner = (WEST + number * metres, NORTH - 10_000 * place)
            for column, pixels in patch.items():
                content = encode(pixels, metres / len(pixels), *corner)
                info = zipfile.ZipInfo(f"{name}_{number}_{DATE}_{TILE}_{column}.tif", NEVER)
                archives[column].writestr(info, content)
            paths = [f"{_stem(name, c)}.zip/{name}_{number}_{DATE}_{TILE}_{c}.tif" for c in columns]
            lines.append("\t".join([str(number), *paths]))
    table = "\n".join(["\t".join(["", *columns]), *lines]) + "\n"
    (draft / "index.csv").write_text(table, encoding="utf-8")
    draft.rename(dst / name)


def _stem(name: str, column: str) -> str:
    return f"{name}_{DATE}_{TILE}_{column}"


def _create(folder: Path, name: str, column: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(folder / f"{_stem(name, column)}.zip", "w")
