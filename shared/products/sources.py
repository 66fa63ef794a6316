"""What `--src` is: a SAFE or Theia product, a stack, single bands, or an array."""

from pathlib import Path

from shared.errors import StageError
from shared.products import arrays, safe, stack, theia
from shared.products.contents import Files
from shared.products.product import Product
from shared.products.stack import Place, Units

KINDS = "a SAFE or Theia folder or zip, images (.tif, .jp2), .npy or .npz"


def read(
    src: Path,
    wanted: tuple[str, ...],
    channels: tuple[str, ...] = (),
    index: int | None = None,
    units: Units | None = None,
    place: Place | None = None,
) -> Product:
    """Open a source for reading, whatever its format.

    Args:
        src: file or folder.
        wanted: bands that are needed; a broken one that nobody needs does no harm.
        channels: bands of the channels of a stack or array.
        index: which image of an array of several.
        units: what stored numbers of stacks and arrays mean.
        place: where an array lies.

    Raises:
        StageError: nothing of the known kinds, or what its reader refuses; flags that say what
            the metadata of a product say already.
    """
    units = units or Units()
    ending = src.suffix.lower()
    if src.is_file() and ending in (".npy", ".npz"):
        return arrays.read(src, channels, index, units, place)
    if place:
        raise StageError(f"--epsg: expected none beside {src.name}, which has a place of its own")
    if index is not None:
        raise StageError(f"--index: expected none beside {src.name}, which holds one image")
    if src.is_file() and ending in stack.ENDINGS:
        return stack.read_file(src, channels, units)
    if src.is_file() and ending != ".zip":
        raise StageError(f"{src}: expected {KINDS}, found {src.suffix or 'no ending'}")
    files = Files(src)
    if channels:
        raise StageError(
            f"--channels: expected none beside {src.name}, whose files name their bands"
        )
    head = safe.find_head(files)
    if not head and not theia.is_theia(files):
        return stack.read_folder(files, wanted, units)
    if units != Units():
        raise StageError(
            "--per_unit, --offset, --nodata: expected none, as the metadata of the product say it"
        )
    return safe.read(files, head, wanted) if head else theia.read(files)
