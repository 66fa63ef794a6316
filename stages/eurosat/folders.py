"""The class folders of EuroSAT, and which edition they hold."""

from collections.abc import Iterable
from pathlib import Path

from shared.clutter import is_clutter
from shared.destination import describe_link, leads_nowhere
from shared.errors import StageError
from shared.names import check_names
from shared.pictures import list_files, tell_skipped
from shared.progress import say
from stages.eurosat.editions import BANDS, EDITIONS, RGB, Edition

ENDINGS = RGB.endings | BANDS.endings
KINDS = ".jpg, .png or .tif"


def list_pictures(folder: Path, fewest: int) -> tuple[Edition, dict[str, list[Path]]]:
    """The edition, and class name to its pictures, both sorted: one folder per class.

    Hidden folders are left out. Lines of log tell where the class folders lie, if deeper, and count
    what lies among the pictures and is none.

    Args:
        folder: of the class folders, or with one folder that leads to them.
        fewest: pictures that a class must have.

    Raises:
        StageError: fewer than two class folders, one with too few pictures, one that is a link to
            nowhere, or one whose name cannot be that of a class; files of both editions.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: expected a folder with one folder per class, found a file")
    inner, folders = _descend(folder)
    names = [place.name for place in folders]
    if len(folders) < 2:
        expected = "expected a folder for each of 2 or more classes"
        raise StageError(f"{inner}: {expected}, found {names}{_suggest_folder(inner, folders)}")
    check_names(names, f"{inner}: class folders")
    classes, skipped = dict[str, list[Path]](), list[Path]()
    for place in folders:
        classes[place.name], others = list_files(place, ENDINGS)
        skipped += others
        if len(classes[place.name]) < fewest:
            raise _too_few(place, len(classes[place.name]), fewest, others)
    tell_skipped(folder, skipped)
    return _find_edition(folder, classes), classes


def _descend(folder: Path) -> tuple[Path, list[Path]]:
    """The folder of the class folders, down from one that holds nothing but a folder, and these."""
    inner, folders = folder, _list_folders(folder)
    while len(folders) == 1 and (below := _list_folders(folders[0])):
        inner, folders = folders[0], below
    if inner != folder and len(folders) > 1:
        say(f"{folder}: the class folders are those in {inner}")
    return inner, folders


def _find_edition(folder: Path, classes: dict[str, list[Path]]) -> Edition:
    """The edition whose endings the files have; StageError where they have those of both."""
    found: dict[str, Path] = {}
    for file in (file for files in classes.values() for file in files):
        (title,) = [one.title for one in EDITIONS if file.suffix.lower() in one.endings]
        found.setdefault(title, file)
    if len(found) > 1:
        both = " and ".join(f"{file} ({title})" for title, file in found.items())
        raise StageError(f"{folder}: expected pictures of one edition, found {both}")
    return next(one for one in EDITIONS if one.title in found)


def _too_few(place: Path, count: int, fewest: int, others: Iterable[Path]) -> StageError:
    """The refusal of a class folder, which may not be one."""
    expected = f"expected {fewest} or more pictures ({KINDS})"
    below, beside = _list_folders(place), next(iter(others), None)
    if not count and below:
        expected = f"{expected}; the class folders may be those in it: --src {place}"
        return StageError(f"{place}: {expected}")
    also = f" beside {beside.name}" if beside else ""
    return StageError(f"{place}: {expected}, found {count}{also}")


def _list_folders(folder: Path) -> list[Path]:
    """Folders that may be classes; StageError for a link to nowhere, which might be one."""
    entries = sorted(path for path in folder.iterdir() if not _is_hidden(path))
    for path in entries:
        if leads_nowhere(path) and path.suffix.lower() not in ENDINGS:
            raise StageError(f"{path}: expected a class folder, found {describe_link(path)}")
    return [path for path in entries if path.is_dir()]


def _suggest_folder(folder: Path, folders: list[Path]) -> str:
    """What to give instead of a folder that is a step below the right one."""
    if not folders and list_files(folder, ENDINGS)[0]:
        return f" but pictures; give the folder above: --src {folder.absolute().parent}"
    return ""


def _is_hidden(folder: Path) -> bool:
    return is_clutter(folder) or folder.name.startswith("_")
