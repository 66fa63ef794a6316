"""Which files of a folder are pictures, and what else lies there. Standard library only."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from shared.clutter import is_clutter
from shared.errors import StageError
from shared.progress import say

# Those that torchvision, and with it the Voyager SDK, takes for pictures.
ENDINGS = {".png", ".jpg", ".jpeg", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
NAMED = 5  # skipped files that the one line names
Listing = tuple[list[Path], list[Path]]  # pictures, and what is skipped


def list_files(folder: Path, endings: Collection[str] = ENDINGS) -> Listing:
    """Pictures of one folder in order of their names, and what else lies in it.

    Skipped are files of other endings, what systems leave behind (`is_clutter`), folders, and what
    is no plain file.

    Raises:
        StageError: a picture is a link that leads nowhere.
    """
    return _sort(folder.iterdir(), endings)


def walk_files(folder: Path, endings: Collection[str] = ENDINGS) -> Listing:
    """As `list_files`, for all folders below as well, but not those that systems leave behind.

    Raises:
        StageError: a picture is a link that leads nowhere.
        OSError: a folder cannot be read.
    """
    files, skipped = list[Path](), list[Path]()

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        inner = [Path(place, name) for name in folders]
        folders[:] = [path.name for path in inner if not is_clutter(path)]
        skipped += [p for p in inner if is_clutter(p) or p.suffix.lower() in endings]
        taken, others = _sort((Path(place, name) for name in names), endings)
        files, skipped = files + taken, skipped + others
    return sorted(files), sorted(skipped)


def _sort(paths: Iterable[Path], endings: Collection[str]) -> Listing:
    taken, skipped = list[Path](), list[Path]()
    for path in sorted(paths):
        if is_clutter(path) or path.suffix.lower() not in endings:
            skipped.append(path)
        elif path.is_symlink() and not path.exists():
            raise StageError(f"{path}: expected a picture, found a link that leads nowhere")
        else:
            (taken if path.is_file() else skipped).append(path)
    return taken, skipped


def tell_skipped(folder: Path, skipped: list[Path], advice: str = "") -> None:
    """One line of log with the number of skipped files and folders, and the names of some."""
    if skipped:
        names = [str(path.relative_to(folder)) for path in skipped[:NAMED]]
        more = ", …" if len(skipped) > NAMED else ""
        count = "1 entry" if len(skipped) == 1 else f"{len(skipped)} entries"
        say(f"{folder}: skipped {count} that are no pictures: {', '.join(names)}{more}{advice}")
