"""Other files that an input consists of: what an HDF5 file reaches by links, virtual datasets and
external storage. h5py is imported only for a file that is HDF5."""

from collections.abc import Iterable
from pathlib import Path

Reference = tuple[str, Path | None]  # a file as it is named, and where it is; None: nowhere
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, also behind a block of the user's own, by its first eight bytes."""
    place, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            place = place * 2 or 512
    return False


def list_references(files: Iterable[Path]) -> dict[Path, list[Reference]]:
    """The files that each of these files reaches, without those that reach none.

    Without h5py, as for `make status`, no file reaches another one.

    Raises:
        StageError: the HDF5 library hangs or crashes on a file.
    """
    references = {}
    for path in filter(is_hdf5, files):
        try:
            from shared.patches import hdf5
        except ModuleNotFoundError:
            return {}
        if linked := hdf5.probe(path):
            references[path] = [(name, there and there.absolute()) for name, there in linked]
    return references
