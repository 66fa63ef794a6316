"""Links below data/ that lead out of it: what a container has to see besides, and where."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StageError

INSIDE = "/app"  # the checkout, as a container sees it
VOLUME = "data"
MOST = 100  # links in one folder that are mounted one by one


@dataclass(frozen=True, order=True)
class Mount:
    """A file or folder of this machine and its place in the container."""

    place: str
    source: str
    writable: bool = False

    def words(self) -> list[str]:
        """The words of `docker compose run`."""
        return ["-v", f"{self.source}:{self.place}{'' if self.writable else ':ro'}"]


def find_mounts(arguments: Sequence[str]) -> list[Mount]:
    """What has to be mounted so that a container sees all paths on the command line of a stage.

    Args:
        arguments: of the stage, relative to the checkout, which is the working directory.

    Raises:
        StageError: a folder holds too many links, or a name that no mount can have.
    """
    mounts: dict[str, Mount] = {}
    for is_product, path in _paths(arguments):
        for mount in _along(path, is_product):
            earlier = mounts.get(mount.place)
            writable = mount.writable or bool(earlier and earlier.writable)
            mounts[mount.place] = Mount(mount.place, mount.source, writable)
    for mount in mounts.values():
        if ":" in mount.source + mount.place:
            raise StageError(f"{mount.source}: expected a path without a colon to mount it")
    return sorted(mounts.values())


def _paths(arguments: Sequence[str]) -> Iterator[tuple[bool, Path]]:
    """Every part of the arguments that is a path below data/, and whether it is the product's."""
    flag = ""
    for word in arguments:
        if word.startswith("--"):
            flag, _, word = word.partition("=")
        for part in word.split(","):
            path = Path(os.path.normpath(part)) if part else Path()
            if path.parts[:1] == (VOLUME,) and len(path.parts) > 1:
                # Of the product only the folders count: it does not exist yet.
                yield flag == "--dst", path.parent if flag == "--dst" else path


def _along(path: Path, writable: bool) -> Iterator[Mount]:
    """The mounts for the links along a path, and for those inside when it is a folder."""
    mounts: list[Mount] = []
    here, there = _follow(path, writable, mounts, 0)
    yield from mounts
    if here.is_dir() and not writable:
        yield from _within(here, there)


def _follow(path: Path, writable: bool, mounts: list[Mount], depth: int) -> tuple[Path, str]:
    """Where a path below data/ leads on this machine, and in the container; adds the mounts."""
    here, there = Path(VOLUME), f"{INSIDE}/{VOLUME}"
    for part in path.parts[1:]:
        link, inside = here / part, f"{there}/{part}"
        if not link.is_symlink() or depth > 40:
            here, there = link, inside
            continue
        target = _target(link, there)
        if _is_below_volume(target):
            below = Path(target).relative_to(INSIDE)
            here, there = _follow(below, writable, mounts, depth + 1)
            continue
        here, there = link.resolve(), target
        if here.exists():
            mounts.append(Mount(there, str(here), writable))
    return here, there


def _target(link: Path, folder: str) -> str:
    """Where a link leads when the folder that it lies in is this one."""
    return os.path.normpath(Path(folder, link.readlink()))


def _is_below_volume(place: str) -> bool:
    return place.startswith(f"{INSIDE}/{VOLUME}/")


def _within(here: Path, there: str) -> Iterator[Mount]:
    """The mounts for links in a folder that the stage reads as a whole."""
    mounts: list[Mount] = []
    for folder, folders, files in os.walk(here):
        for link in (Path(folder, name) for name in (*folders, *files)):
            if link.is_symlink() and link.exists():
                target = _target(link, str(Path(there, Path(folder).relative_to(here))))
                if not _is_below_volume(target):
                    mounts.append(Mount(target, str(link.resolve())))
    if len(mounts) > MOST:
        raise StageError(
            f"{here}: expected at most {MOST} links to files outside {VOLUME}/, found "
            f"{len(mounts)}; make the folder itself a link, or copy the files"
        )
    return iter(mounts)
