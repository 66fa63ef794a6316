"""Other files that an input consists of: what an HDF5 file reaches by links, virtual datasets and
external storage, and the ONNX file that the YAML of a super-resolution network names. h5py is
imported only for a file that is HDF5."""

import re
from collections.abc import Iterable
from pathlib import Path

Reference = tuple[str, Path | None]  # a file as it is named, and where it is; None: nowhere
SIGNATURE = b"\x89HDF\r\n\x1a\n"
YAML = (".yaml", ".yml")
LARGEST = 2**20  # bytes of a YAML
# As shared/sisr_client reads it, but without PyYAML; written as YAML or as JSON.
MODEL = re.compile(
    rb"""(?:^|[{,]\s*)["']?model["']?\s*:\s*["']?([^"'\r\n,}]+\.onnx)\b""", re.MULTILINE
)


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


def find_network(path: Path) -> list[Reference]:
    """The ONNX file that a YAML names as `model`, relative to itself; none for other files."""
    if path.suffix.lower() not in YAML or path.stat().st_size > LARGEST:
        return []
    found = MODEL.search(path.read_bytes())
    if not found:
        return []
    name = found[1].decode("utf-8", "surrogateescape").strip()
    there = path.parent / name
    return [(name, there.absolute() if there.is_file() else None)]


def list_references(files: Iterable[Path]) -> dict[Path, list[Reference]]:
    """The files that each of these files reaches, without those that reach none.

    Without h5py, as for `make status`, no HDF5 file reaches another one.

    Raises:
        StageError: the HDF5 library hangs or crashes on a file.
    """
    files = list(files)
    references = {path: named for path in files if (named := find_network(path))}
    for path in filter(is_hdf5, files):
        try:
            from shared.patches import hdf5
        except ModuleNotFoundError:
            return references
        if linked := hdf5.probe(path):
            references[path] = [(name, there and there.absolute()) for name, there in linked]
    return references
