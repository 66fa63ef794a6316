"""A product as a folder or a zip file: its members, their text, their images, for GDAL."""

import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any

from shared import clutter, gdal_files, names
from shared.errors import StageError

LARGEST_TEXT = 64 * 2**20  # of a file of metadata, unpacked


class Files:
    """The files of a product.

    Attributes:
        path: folder or zip file.
        names: paths of its files below it, with slashes, sorted.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.is_zip = path, path.is_file()
        if self.is_zip:
            try:
                with zipfile.ZipFile(path) as archive:
                    names = [info.filename for info in archive.infolist() if not info.is_dir()]
            except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
                raise StageError(f"{path}: not a complete zip file ({error})") from None
        else:
            names = [
                file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()
            ]
        self.names = sorted(name for name in names if not _is_clutter(name))

    def text(self, name: str) -> bytes:
        """Content of a small file.

        Raises:
            StageError: it cannot be read, or is far too large for what it should be.
        """
        where = f"{self.path}: {name}"
        try:
            with ExitStack() as stack:
                file: IO[bytes]
                if self.is_zip:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    file = stack.enter_context(archive.open(name))
                else:
                    file = stack.enter_context((self.path / name).open("rb"))
                content = file.read(LARGEST_TEXT + 1)
        except (
            zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError,
        ) as error:  # fmt: skip
            raise StageError(f"{where}: cannot read ({error})") from None
        if len(content) > LARGEST_TEXT:
            raise StageError(f"{where}: expected at most {LARGEST_TEXT >> 20} MiB")
        return content

    def address(self, name: str) -> str:
        """What GDAL opens this file by."""
        if self.is_zip:
            return f"/vsizip/{{{names.address(self.path.absolute())}}}/{name}"
        return names.address(self.path / name)

    def open(self, name: str) -> Any:
        """The image of a file, open for reading."""
        return open_raster(self.address(name), f"{self.path}{': ' if self.is_zip else '/'}{name}")


def _is_clutter(name: str) -> bool:
    return any(clutter.is_clutter(Path(part)) for part in PurePosixPath(name).parts)


def open_raster(address: str, where: str | None = None) -> Any:
    """An image that GDAL reads; StageError when it is cut, of no known format, or refers elsewhere.

    Only the formats of images are allowed: a VRT could name any other file or address.
    """
    driver = "JP2OpenJPEG" if address.lower().endswith(".jp2") else "GTiff"
    return gdal_files.open_image(address, driver, where or address, "image")
