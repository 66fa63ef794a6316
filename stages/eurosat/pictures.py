"""The class folders of EuroSAT, and the pixels of one picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.clutter import is_clutter
from shared.destination import describe_link, leads_nowhere
from shared.errors import StageError
from shared.names import check_names
from shared.pictures import list_files, read_picture, tell_skipped

ENDINGS = {".jpg", ".jpeg", ".png"}


def list_pictures(folder: Path) -> dict[str, list[Path]]:
    """Class name to its pictures, both sorted: one folder per class, hidden ones left out.

    One line of log counts what lies among the pictures and is none.

    Raises:
        StageError: fewer than two class folders, one without pictures, one that is a link to
            nowhere, or one whose name cannot be that of a class.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: expected a folder with one folder per class, found a file")
    folders = _list_folders(folder)
    names = [place.name for place in folders]
    if len(folders) < 2:
        expected = "expected a folder for each of 2 or more classes"
        raise StageError(f"{folder}: {expected}, found {names}{_suggest_folder(folder, folders)}")
    check_names(names, f"{folder}: class folders")
    classes, skipped = dict[str, list[Path]](), list[Path]()
    for place in folders:
        classes[place.name], others = list_files(place, ENDINGS)
        skipped += others
        if len(classes[place.name]) < 2:
            expected = "expected 2 or more pictures (.jpg, .png)"
            also = f" beside {others[0].name}" if others else ""
            raise StageError(f"{place}: {expected}, found {len(classes[place.name])}{also}")
    tell_skipped(folder, skipped)
    return classes


def _list_folders(folder: Path) -> list[Path]:
    """Folders that may be classes; StageError for a link to nowhere, which might be one."""
    entries = sorted(path for path in folder.iterdir() if not _is_hidden(path))
    for path in entries:
        if leads_nowhere(path):
            raise StageError(f"{path}: expected a class folder, found {describe_link(path)}")
    return [path for path in entries if path.is_dir()]


def _suggest_folder(folder: Path, folders: list[Path]) -> str:
    """What to give instead of a folder that is a step above or below the right one."""
    if not folders and list_files(folder, ENDINGS)[0]:
        return f" but pictures; give the folder above: --src {folder.absolute().parent}"
    while len(folders) == 1:
        (folder,) = folders
        folders = _list_folders(folder)
    return f"; the class folders may be those below {folder}" if folders else ""


def _is_hidden(folder: Path) -> bool:
    return is_clutter(folder) or folder.name.startswith("_")


def read_pixels(path: Path, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8, red green blue.

    Raises:
        StageError: not a readable picture, or of another size or kind.
    """
    return read_picture(path, (side, side), "RGB")
