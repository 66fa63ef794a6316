"""The volume of a container: what is written beside it is gone when the container ends."""

import os
import re
from pathlib import Path

from shared.errors import StageError

VARIABLE = "STAGE_VOLUME"  # set in every image: where the volume is mounted
MOUNTS = Path("/proc/self/mountinfo")
IN_MEMORY = ("tmpfs", "ramfs")


def is_container() -> bool:
    """Whether this process runs in a container of one of the images."""
    return bool(os.environ.get(VARIABLE))


def check_lasting(dst: Path) -> None:
    """Check that a product outlives the container that makes it; outside containers, nothing.

    Args:
        dst: the product.

    Raises:
        StageError: it would lie in the container itself, or in its memory.
    """
    if not is_container() or not MOUNTS.is_file():
        return
    volume = os.environ[VARIABLE]
    place = Path(os.path.realpath(dst))  # which, unlike resolve, leaves a loop of links alone
    if not is_lasting(place, MOUNTS.read_text(errors="surrogateescape"), Path(volume)):
        leads = f" ({place})" if place != Path.cwd() / dst else ""
        raise StageError(
            f"--dst: expected a path on the volume, such as data/{dst.name}, found {dst}{leads}: "
            f"it would be gone with this container, which keeps only what is mounted (at {volume})"
        )


def is_lasting(place: Path, mounts: str, volume: Path) -> bool:
    """Whether a file at this place outlives the container.

    Args:
        place: absolute path without links; need not exist.
        mounts: text of /proc/self/mountinfo, see proc(5).
        volume: where the volume is mounted, whatever its kind.
    """
    kinds: dict[Path, tuple[str, str]] = {}
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        root, point = (_decode(word) for word in fields.split()[3:5])
        kinds[Path(point)] = (rest.split()[0], root)  # a later line hides an earlier one
    nearest = next(folder for folder in (place, *place.parents) if folder in kinds)
    kind, root = kinds[nearest]
    # A folder of the machine that lies in memory there is mounted from below its root.
    in_memory = kind in IN_MEMORY and root == "/"
    return nearest == volume or (nearest != Path("/") and not in_memory)


def _decode(word: str) -> str:
    """A path of mountinfo, in which a blank is written as ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)
