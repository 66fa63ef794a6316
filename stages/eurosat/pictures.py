"""The class folders of EuroSAT, and the pixels of one picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.names import check_names
from shared.pictures import is_clutter, list_files, read_picture, tell_skipped

ENDINGS = {".jpg", ".jpeg", ".png"}


def list_pictures(folder: Path) -> dict[str, list[Path]]:
    """Class name to its pictures, both sorted: one folder per class, hidden ones left out.

    One line of log counts what lies among the pictures and is none.

    Raises:
        StageError: fewer than two class folders, one without pictures, or one whose name cannot be
            that of a class.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: expected a folder with one folder per class, found a file")
    folders = sorted(f for f in folder.iterdir() if f.is_dir() and not _is_hidden(f))
    names = [f.name for f in folders]
    if len(folders) < 2:
        raise StageError(
            f"{folder}: expected a folder for each of 2 or more classes, found {names}"
        )
    check_names(names, f"{folder}: class folders")
    classes, skipped = dict[str, list[Path]](), list[Path]()
    for place in folders:
        classes[place.name], others = list_files(place, ENDINGS)
        skipped += others
        if len(classes[place.name]) < 2:
            expected = "expected 2 or more pictures (.jpg, .png)"
            raise StageError(f"{place}: {expected}, found {len(classes[place.name])}")
    tell_skipped(folder, skipped)
    return classes


def _is_hidden(folder: Path) -> bool:
    return is_clutter(folder) or folder.name.startswith("_")


def read_pixels(path: Path, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8, red green blue.

    Raises:
        StageError: not a readable picture, or of another size or kind.
    """
    return read_picture(path, (side, side), "RGB")
