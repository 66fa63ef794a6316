"""Sentinel-2 products as they are distributed, to one scene file: ten bands at 10 m, a mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from shared import cli, lcz, progress, scenes
from shared.errors import StageError

if TYPE_CHECKING:
    from shared.products import Product

# Bytes of decoded tiles that GDAL keeps: a row of them in ten bands takes 170 MiB.
CACHE = 512 * 2**20


@dataclass(frozen=True)
class Stored:
    """What the numbers of stacks and arrays mean; the metadata of products say it themselves.

    Attributes:
        channels: bands in the order of the channels, such as B02,B03,B04,B08; else they are read
            from the file, or known by their number (10, 12 or 13).
        index: which image of an array (N, H, W, C), from 0.
        per_unit: stored number of reflectance 1; else 10,000 for whole numbers and 1 for others.
        offset: what is added to stored numbers before that, such as -1000.
        nodata: stored value of a missing pixel; else what the file says, or 0.
        epsg: number of the reference system that an array lies in, such as 32633 or 4326.
        bounds: left,bottom,right,top of the array in that system.
        level: L1C or L2A, where neither metadata nor the file's name says it.
    """

    channels: tuple[str, ...] = ()
    index: Annotated[int | None, cli.at_least(0)] = None
    per_unit: Annotated[float | None, cli.more_than(0)] = None
    offset: float | None = None
    nodata: float | None = None
    epsg: Annotated[int | None, cli.at_least(1)] = None
    bounds: tuple[float, ...] = ()
    level: Literal["L1C", "L2A"] | None = None

    def check(self) -> None:
        """StageError where one of the two that say a place is without the other."""
        if (self.epsg is None) != (not self.bounds) or len(self.bounds) not in (0, 4):
            given = f"--epsg {self.epsg} and {len(self.bounds)} numbers of --bounds"
            raise StageError(f"--bounds: expected four numbers together with --epsg, found {given}")
        left, bottom, right, top = self.bounds or (0, 0, 1, 1)
        if not (left < right and bottom < top):
            raise StageError(f"--bounds: expected left,bottom,right,top, found {self.bounds}")


def describe(
    product: "Product", window: scenes.Window, names: tuple[str, ...], level: str
) -> scenes.Header:
    """What the scene file of a window of a product says."""
    offsets = tuple(product.bands[name].offset for name in names)
    grid = product.grid.moved(window.top, window.left)
    return scenes.Header(
        grid,
        names,
        level,
        product.name,
        product.date,
        offsets,
        masked=product.mask is not None,
    )


def write(dst: Path, product: "Product", header: scenes.Header, window: scenes.Window) -> None:
    """All blocks of a window that are not written yet."""
    from stages.scene.blocks import read_block

    bands = product.choose(header.bands)
    with scenes.create_scene(dst, (window.height, window.width), header) as sink:
        for block in sink.todo():
            top = window.top + block.top
            rows = slice(top, top + block.height)
            columns = slice(window.left, window.left + window.width)
            pixels, mask = read_block(product, bands, rows, columns)
            sink.put(block, pixels, mask=mask)


def run(
    *,
    src: Path,
    dst: Path,
    region: tuple[float, ...] = (),
    region_in: Literal["metres", "degrees", "pixels"] = "metres",
    bands: tuple[str, ...] = lcz.SEN2.bands,
    stored: Stored = Stored(),
    threads: Annotated[int, cli.at_least(0)] = 0,
) -> None:
    """Read a Sentinel-2 scene, whatever its format, and write it as one scene file.

    Args:
        src: a SAFE (L1C or L2A) or Theia product as a folder or zip, a GeoTIFF or folder of bands,
            .npy or .npz.
        dst: scene file to write: reflectance (H, W, 10) at 10 m and a mask.
        region: the part to take: left,bottom,right,top in metres or degrees, or
            left,top,right,bottom in pixels of 10 m.
        region_in: what the region is given in: metres of the scene's own grid, degrees, or pixels.
        bands: bands to write, by names of any edition: B02, B2, B8A.
        threads: of the decoder of JPEG 2000; 0 for one per core.
    """
    from shared import gdal_files, products
    from shared.products import sources
    from stages.scene import checks

    stored.check()
    wanted = products.read_names("bands", bands)
    channels = products.read_names("channels", stored.channels)
    units = products.Units(stored.per_unit, stored.offset, stored.nodata)
    place = products.Place(stored.epsg, stored.bounds) if stored.epsg else None
    with gdal_files.environment(CACHE, threads):
        product = sources.read(src, wanted, channels, stored.index, units, place)
        level = stored.level or product.level
        if not level:
            raise StageError(f"{src}: expected --level L1C or L2A, as nothing says which it is")
        if product.level and level != product.level and product.states_offset:
            raise StageError(f"--level: expected {product.level}, as {src.name} is, found {level}")
        window = products.find_window(product, region, region_in)
        product.choose(wanted)
        write(dst, product, describe(product, window, wanted, level), window)
    if fault := checks.find_fault(dst, product.states_offset):
        progress.say(f"warning: {src}: {fault}")


if __name__ == "__main__":
    cli.main(run)
