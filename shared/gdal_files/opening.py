"""Opening and reading through GDAL, with everything that is wrong as a StageError."""

import logging
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from shared.errors import StageError

Read = TypeVar("Read")


def environment(cache: int, threads: int | None = None) -> Any:
    """What GDAL is told while it reads: a bounded cache, no files beside those that are named.

    Args:
        cache: bytes of decoded blocks that it keeps. rasterio sets bytes, where GDAL itself takes
            small numbers for MiB.
        threads: of its decoders; 0 for one per core, None for GDAL's own choice.
    """
    import rasterio

    told: dict[str, Any] = {} if threads is None else {"GDAL_NUM_THREADS": threads or "ALL_CPUS"}
    return rasterio.Env(
        GDAL_CACHEMAX=cache, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", **told
    )


def attempt(read: Callable[[], Read], where: object, kind: str) -> Read:
    """What a call gives that reads an image.

    Args:
        read: the call.
        where: file, and member or band, for the message.
        kind: what the file should be, such as "GeoTIFF", for the message.

    Raises:
        StageError: the file is missing, cut or damaged, or of another format.
    """
    from rasterio._err import CPLE_BaseError  # which has no public name
    from rasterio.errors import RasterioError

    try:
        return read()
    except (RasterioError, CPLE_BaseError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
        raise StageError(f"{where}: not a complete {kind} ({reason})") from None


def open_image(address: str, driver: str, where: object, kind: str) -> Any:
    """An image, open for reading.

    Args:
        address: what GDAL opens the file by, as `shared.names.address` says it.
        driver: the only format that is allowed, such as "GTiff": a VRT could name any other file.
        where, kind: as for `attempt`.

    Raises:
        StageError: as `attempt`.
    """
    import rasterio

    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # what matters is raised

    def read_header() -> Any:
        opened = rasterio.open(address, driver=driver)
        opened.colorinterp  # noqa: B018  GDAL reads the tags of a place when it is asked for any
        return opened

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # images without a place are welcome
        opened: Any = attempt(read_header, where, kind)
    return opened
