"""A bundle as one archive with its manifest: the same bytes every time, so that a copy goes on."""

import io
import tarfile
from pathlib import Path
from typing import Any

from shared.clutter import without_clutter
from shared.errors import StageError
from shared.manifest import MANIFEST, RefusedError, read, write
from shared.runs import record


def name_of(bundle: Path) -> str:
    """The network's name in the SDK, which is that of the bundle's only YAML.

    Raises:
        StageError: no bundle, or one that changed since `voyager` made it.
    """
    if not bundle.is_dir():
        raise StageError(f"--bundle: no such folder: {bundle}; make voyager makes one")
    names = [path.stem for path in without_clutter(bundle.glob("*.yaml"))]
    if len(names) != 1:
        raise StageError(f"--bundle: {bundle}: expected one YAML, found {sorted(names)}")
    if links := sorted(path for path in bundle.rglob("*") if path.is_symlink()):
        raise StageError(f"--bundle: expected files, found a link: {links[0]}")
    product = record.load(bundle)
    if product and record.fingerprint(bundle)["sha256"] != product["output"]["sha256"]:
        raise StageError(f"--bundle: {bundle} changed since it was made; run make voyager again")
    return names[0]


def manifest(bundle: Path, image: dict[str, Any]) -> bytes:
    """MANIFEST.json with the image and the record, and the SDK that voyager made it for."""
    return write(bundle, image, record.load(bundle), _sdk(bundle))


def _sdk(bundle: Path) -> dict[str, Any] | None:
    """What the bundle's own manifest says of the SDK; None for bundles of before."""
    if not (bundle / MANIFEST).is_file():
        return None
    try:
        said: dict[str, Any] | None = read(bundle)["sdk"]
    except RefusedError as error:
        raise StageError(str(error)) from None
    return said


def pack(bundle: Path, content: bytes, archive: Path) -> None:
    """Write a bundle and its manifest as a tar, in order of names, without owners and times."""
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, MANIFEST, content)
        for path in _files(bundle):
            _add(tar, path.relative_to(bundle).as_posix(), path.read_bytes())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _files(bundle: Path) -> list[Path]:
    paths = (path for path in bundle.rglob("*") if path.is_file())
    return sorted(path for path in paths if path != bundle / MANIFEST)
