"""One picture of the edition with 13 bands: a TIFF of whole numbers. Needs tifffile, when called.

Source of the order: Helber et al. 2019, EuroSAT; its files have B8A at the end.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.pictures import MOST_PIXELS
from stages.eurosat import sizes

ORDER = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12", "B8A")
SEPARATE = 2  # planar configuration of TIFF: one band after the other


def read_bands(path: Path, size: int | None) -> tuple[NDArray[np.uint16], list[str]]:
    """(S, S, 13) digital numbers, reflectance times 10,000, and what was changed to get them.

    Args:
        path: TIFF, pixel by pixel or band by band, in any compression that imagecodecs knows.
        size: S; None takes only pictures of 64 x 64.

    Raises:
        StageError: not a readable TIFF; several pictures; other bands or numbers; another size.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters is raised
    try:
        with tifffile.TiffFile(path) as file:
            page = _check_pages(path, file.pages, size)
            stored = page.asarray()
    except (StageError, MemoryError):
        raise
    except Exception as error:  # tifffile and the decoders have no common class
        reason = f" ({getattr(error, 'strerror', None) or error})" if str(error) else ""
        raise StageError(f"{path}: not a readable TIFF, or cut short{reason}") from None
    pixels = np.moveaxis(stored, 0, -1) if page.planarconfig == SEPARATE else stored
    if size is not None and len(pixels) != size:
        return sizes.resize(pixels, size), ["resized"]
    return pixels.astype(np.uint16), []


def _check_pages(path: Path, pages: Any, size: int | None) -> Any:
    """The one page, if its description fits, before pixels take memory."""
    if len(pages) != 1:
        raise StageError(
            f"{path}: expected one picture of 13 bands, found {len(pages)} in one file"
        )
    page = pages[0]
    expected, found = f"{len(ORDER)} bands of uint16", f"{page.samplesperpixel} of {page.dtype}"
    if found != expected.replace("bands ", ""):
        raise StageError(f"{path}: expected {expected}, found {found}")
    if page.imagewidth * page.imagelength * page.imagedepth > MOST_PIXELS // len(ORDER):
        most = f"at most {MOST_PIXELS // len(ORDER):,} pixels"
        raise StageError(f"{path}: expected {most}, found {page.imagewidth}x{page.imagelength}")
    sizes.check_size(path, page.imagewidth, page.imagelength, size)
    return page
