"""MANIFEST.json of a bundle: SHA-256 of every file, of itself, and of the image it came with.

`voyager` writes it without an image, `make ship` adds the image. Standard library only, Python 3.10
or later: `make ship` sends this file along, and the scripts on the other machine import it there,
where nothing else of this project is.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.json"
BLOCK = 2**20
IMAGE = {"file", "id", "sha256", "tag"}  # what is known of an image


class RefusedError(Exception):
    """What the caller can mend."""


def digest(path: Path, end: int | None = None) -> str:
    """SHA-256 of a file, or of its first `end` bytes."""
    sha, left = hashlib.sha256(), path.stat().st_size if end is None else end
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(BLOCK, left))):
            sha.update(block)
            left -= len(block)
    return sha.hexdigest()


def seal(content: dict[str, Any]) -> str:
    """SHA-256 of a manifest without its own `sha256`: a flipped byte in it is noticed, too."""
    return hashlib.sha256(json.dumps(content, indent=1).encode()).hexdigest()


def write(
    bundle: Path, image: dict[str, Any] | None, record: Any, sdk: dict[str, Any] | None
) -> bytes:
    """MANIFEST.json of the files as they are.

    Args:
        bundle: folder; its own MANIFEST.json does not count.
        image: file, id, sha256 and tag of the image that is sent along, if one is.
        record: how the bundle was made, if that is known.
        sdk: releases of the Voyager SDK that it is for, if that is known.
    """
    paths = (path for path in bundle.rglob("*") if path.is_file() and path != bundle / MANIFEST)
    files = {path.relative_to(bundle).as_posix(): digest(path) for path in sorted(paths)}
    content = {"files": files, "image": image, "record": record, "sdk": sdk}
    return (json.dumps({"sha256": seal(content), **content}, indent=1) + "\n").encode()


def read(bundle: Path) -> dict[str, Any]:
    """The manifest of a bundle.

    Returns:
        `files`, path to SHA-256; the `image` that came with it, or None; `sdk`, the releases that
        it is for, or None.
    """
    path = bundle / MANIFEST
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        whole = content.pop("sha256") == seal(content) and isinstance(content["files"], dict)
        content.setdefault("sdk", None)
        if whole and (content["image"] is None or content["image"].keys() >= IMAGE):
            return content
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise RefusedError(f"{path}: expected a manifest with files and image, found none: copy again")


def image_of(bundle: Path) -> dict[str, Any]:
    """The image that a bundle came with.

    Raises:
        RefusedError: it came without one, or without a manifest.
    """
    image: dict[str, Any] | None = read(bundle)["image"]
    if image is None:
        raise RefusedError(
            f"{bundle / MANIFEST}: expected the image that was sent along, found none; "
            "make ship sends both"
        )
    return image


def problems(bundle: Path) -> list[str]:
    """What of a bundle is not as its manifest says, by name; empty when all is."""
    files = read(bundle)["files"]
    have = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if not p.is_dir()}
    texts = [f"{bundle / name}: missing" for name in sorted(files.keys() - have)]
    texts += [f"{bundle / n}: not in the manifest" for n in sorted(have - {*files, MANIFEST})]
    for name in sorted(files.keys() & have):
        if (bundle / name).is_symlink() or digest(bundle / name) != files[name]:
            texts.append(f"{bundle / name}: expected SHA-256 {files[name]}, found another")
    return texts


def verify(bundle: Path, image: bool = True) -> dict[str, Any]:
    """The manifest, once every file and, if asked, the image is as it says.

    Raises:
        RefusedError: the first file that is not.
    """
    manifest = read(bundle)
    texts = problems(bundle)
    if image:
        sent = image_of(bundle)
        archive, expected = bundle.parent / sent["file"], sent["sha256"]
        if not archive.is_file() or digest(archive) != expected:
            texts.append(f"{archive}: expected a file of SHA-256 {expected}, found none or another")
    if texts:
        more = f" ({len(texts)} such files)" if len(texts) > 1 else ""
        raise RefusedError(f"{texts[0]}{more}; copy again")
    return manifest
