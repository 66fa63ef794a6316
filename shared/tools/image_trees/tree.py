"""The file tree of an image, read as a stream, and what differs between two trees."""

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import IO

BLOCK = 2**20
# What an engine puts into every container, and the folders whose times this changes.
MADE = {
    *(".dockerenv", "dev/console", "dev/pts", "dev/shm", "proc", "sys"),
    *("etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"),
}
TOUCHED = {"dev", "etc"}


@dataclass(frozen=True)
class Entry:
    """What one path of an image is; the names of the fields are those of a difference.

    Attributes:
        kind: as tar writes it.
        mode: permissions, in octal digits.
        owner: numbers of user and group.
        time: of the last change, in seconds since 1970.
        target: of a link, or the numbers of a device.
        contents: SHA-256 of a file.
    """

    kind: str
    mode: str
    owner: str
    time: float
    target: str
    contents: str


def read(stream: IO[bytes]) -> dict[str, Entry]:
    """Every path of an image, by name, without those that its engine makes.

    Args:
        stream: tar of a container's files, as `docker export` writes it.
    """
    tree = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if name not in MADE:
                tree[name] = _describe(archive, member, name)
    return tree


def _describe(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> Entry:
    device = f"{member.devmajor},{member.devminor}" if member.isdev() else ""
    return Entry(
        kind=member.type.decode(errors="replace"),
        mode=f"{member.mode:o}",
        owner=f"{member.uid}:{member.gid}",
        time=0.0 if name in TOUCHED else float(member.mtime),
        target=member.linkname or device,
        contents=_digest(archive, member) if member.isreg() else "",
    )


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    whole, file = hashlib.sha256(), archive.extractfile(member)
    while file and (block := file.read(BLOCK)):
        whole.update(block)
    return whole.hexdigest()


def digest(tree: Mapping[str, Entry]) -> str:
    """SHA-256 of a whole tree: equal trees have the same."""
    whole = hashlib.sha256()
    for name in sorted(tree):
        whole.update(f"{name}\0{tree[name]}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def differences(first: Mapping[str, Entry], second: Mapping[str, Entry]) -> Iterator[str]:
    """One line for each path that is not the same in both, in order of names.

    Args:
        first: tree of the image that is there.
        second: tree of the image that was built anew.
    """
    for name in sorted(first.keys() | second.keys()):
        if name not in second:
            yield f"/{name}: only in the image that is there"
        elif name not in first:
            yield f"/{name}: only in the one built anew"
        elif first[name] != second[name]:
            yield f"/{name}: {_compare(first[name], second[name])}"


def _compare(first: Entry, second: Entry) -> str:
    texts = []
    for field in fields(Entry):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if one != other:
            told = field.name == "contents"
            texts.append("contents differ" if told else f"{field.name} {one}, then {other}")
    return "; ".join(texts)
