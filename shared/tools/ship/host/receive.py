#!/usr/bin/env python3
"""The receiving end of `make ship`: takes copies up where they broke off. Python 3.10 or later.

    python3 receive.py state NAME                      what is there of it
    python3 receive.py take NAME BYTES SHA256 OFFSET   the rest of a file, from stdin
    python3 receive.py unpack NAME                     NAME.tar to the bundle NAME

Exit code 2: refused, told in one line; 3: the copy broke off, what came is kept.
"""

import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import manifest  # lies beside this file, where it is run

BLOCK = 2**20
SHORT = 3  # exit code of a copy that broke off: the part stays


def state(path: Path) -> dict[str, Any]:
    """Digest of what is whole at a path, a bundle's by its manifest; bytes and digest of a part."""
    part, whole = path.with_name(path.name + ".part"), None
    if path.is_file():
        whole = manifest.digest(path)
    elif _intact(path):
        whole = manifest.digest(path / manifest.MANIFEST)
    size = part.stat().st_size if part.is_file() else 0
    return {"whole": whole, "bytes": size, "part": manifest.digest(part) if size else ""}


def _intact(bundle: Path) -> bool:
    try:
        return not manifest.problems(bundle)
    except manifest.RefusedError:  # no manifest, or a damaged one
        return False


def take(path: Path, size: int, sha256: str, offset: int, stream: BinaryIO) -> int:
    """Append a stream to a part; when it is whole, verify it and give it its name."""
    part = path.with_name(path.name + ".part")
    with part.open("r+b" if part.exists() else "wb") as file:
        file.seek(offset)
        file.truncate()
        shutil.copyfileobj(stream, file, BLOCK)
        file.flush()
        os.fsync(file.fileno())
    if part.stat().st_size < size:
        return SHORT
    if (received := manifest.digest(part)) != sha256:
        part.unlink()
        raise manifest.RefusedError(
            f"{path}: expected SHA-256 {sha256}, received {received}; copy again"
        )
    part.replace(path)
    return 0


def unpack(archive: Path, bundle: Path) -> None:
    """Files of a tar as a bundle, which is there only when all are as the manifest says."""
    draft = bundle.with_name(bundle.name + ".partial")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            path, content = draft / member.name, tar.extractfile(member)
            if content is None or member.name.startswith("/") or ".." in Path(member.name).parts:
                raise manifest.RefusedError(f"{archive}: expected plain files, found {member.name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    for path in (draft, *draft.rglob("*")):  # the container may run as someone else
        path.chmod(0o755 if path.is_dir() else 0o644)
    manifest.verify(draft, image=False)
    shutil.rmtree(bundle, ignore_errors=True)
    draft.rename(bundle)
    archive.unlink()


def main(command: str, name: str, *rest: str) -> int:
    """Exit code of the command line."""
    path = Path(__file__).resolve().parent / name
    try:
        if command == "state":
            print(json.dumps(state(path)))
        elif command == "take":
            size, sha256, offset = rest
            return take(path, int(size), sha256, int(offset), sys.stdin.buffer)
        elif command == "unpack":
            unpack(path.with_name(f"{name}.tar"), path)
    except (manifest.RefusedError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
