"""Files that systems and file managers leave among data, and which nobody means as data.

Standard library only.
"""

from collections.abc import Iterable
from pathlib import Path

# What macOS, Windows and desktops of Linux write into folders, by lower-case name. Names with a dot
# in front are hidden: ._NAME, .DS_Store, .directory, .nfs…
NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
         "system volume information"}  # fmt: skip


def is_clutter(path: Path) -> bool:
    """Whether a file or folder has a name that no data has."""
    return path.name.startswith(".") or path.name.lower() in NAMES


def without_clutter(paths: Iterable[Path]) -> list[Path]:
    """The paths that may be data, in order of their names."""
    return sorted(path for path in paths if not is_clutter(path))
