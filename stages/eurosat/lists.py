"""Public split lists: text files with the name of one picture a line."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.errors import StageError
from shared.progress import say
from stages.eurosat.editions import EDITIONS
from stages.eurosat.split import Parts, Sample

ROLES = ("train", "val", "test")
NAME = re.compile(r"(?:(.*)[-_])?(train|val|test)\.txt", re.IGNORECASE)
NAMED = 5  # pictures that a message names
Lists = dict[Path, list[str]]  # names of pictures by list, in the order of ROLES


def find_lists(paths: Sequence[Path]) -> list[Path]:
    """The lists for training, validation and testing, in this order.

    Args:
        paths: three files, or one folder with a single set of them.

    Raises:
        StageError: a set is not complete, or there are several.
    """
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    sets: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder else paths:
        if found := NAME.fullmatch(path.name):
            sets.setdefault(found[1] or "", {})[found[2].lower()] = path
    whole = {name: files for name, files in sets.items() if len(files) == len(ROLES)}
    if len(whole) > 1:
        there = ", ".join(sorted(whole))
        example = ",".join(str(whole[min(whole)][role]) for role in ROLES)
        raise StageError(
            f"--split_lists: {folder}: expected one set of lists, found {there}; give the three "
            f"files of one: --split_lists {example}"
        )
    if not whole or (not folder and len(paths) != len(ROLES)):
        expected = "expected NAME-train.txt, NAME-val.txt and NAME-test.txt, or a folder with them"
        names = ", ".join(path.name for files in sets.values() for path in files.values())
        given = names or ", ".join(map(str, paths))
        raise StageError(f"--split_lists: {expected}; found {given}")
    ((_, files),) = whole.items()
    return [files[role] for role in ROLES]


def read_list(path: Path) -> list[str]:
    """The names in a list, each once; blank lines count for nothing, and doubles are told.

    Raises:
        StageError: not text, or without a name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise StageError(f"{path}: expected text with the name of one picture a line") from None
    counts = Counter(line.strip() for line in lines if line.strip())
    if not counts:
        raise StageError(f"{path}: expected the name of one picture a line, found none")
    if twice := [name for name, count in counts.items() if count > 1]:
        say(f"{path}: {_count(twice)} more than once and counted once: {_enumerate(twice)}")
    return list(counts)


def assign(
    folder: Path, classes: Mapping[str, list[Path]], lists: Lists, *, partial: bool
) -> Parts:
    """The part of each picture that the lists name.

    Args:
        folder: of the pictures, for messages.
        classes: class name to its pictures, in class order.
        lists: names for training, validation and testing, by their files.
        partial: whether names without a picture are left out.

    Raises:
        StageError: a name without a picture, or with several; a picture in two parts; a class
            without a picture for training or for testing.
    """
    known, places, parts = _index(classes), dict[Path, Path](), list[list[Sample]]()
    for path, names in lists.items():
        samples = _look_up(path, names, known, folder, partial=partial)
        for file, _ in samples:
            if file in places:
                also = "twice" if places[file] == path else f"in {places[file]}, too"
                raise StageError(f"{path}: expected each picture in one list, found {file} {also}")
            places[file] = path
        parts.append(samples)
    unnamed = [file for files in classes.values() for file in files if file not in places]
    if unnamed:
        said = f"{_count(unnamed)} in no list and left out"
        say(f"{folder}: {said}: {_enumerate([file.name for file in unnamed])}")
    found = Parts(*parts)
    for path, samples in zip(lists, (found.training, found.validation, found.testing), strict=True):
        if samples is not found.validation:
            _check_classes(path, samples, classes)
    return found


def _index(classes: Mapping[str, list[Path]]) -> dict[str, list[Sample]]:
    """Samples by name without ending, alone and after that of the class folder."""
    known: dict[str, list[Sample]] = {}
    for number, (name, files) in enumerate(classes.items()):
        for file in files:
            for key in (file.stem, f"{name}/{file.stem}"):
                known.setdefault(key, []).append((file, number))
    return known


def _look_up(
    path: Path, names: list[str], known: Mapping[str, list[Sample]], folder: Path, *, partial: bool
) -> list[Sample]:
    """The sample of each name that there is."""
    found = {name: known.get(_without_ending(name), []) for name in names}
    for name, samples in found.items():
        if len(samples) > 1:
            files = " and ".join(str(file) for file, _ in samples[:2])
            raise StageError(f"{path}: {name}: expected the name of one picture, found {files}")
    missing = [name for name, samples in found.items() if not samples]
    told = f"{len(missing):,} of {len(names):,} names without a picture in {folder}"
    if missing and not partial:
        cure = "complete the folder, or leave them out with --partial"
        raise StageError(f"{path}: found {told}: {_enumerate(missing)}; {cure}")
    if missing:
        say(f"{path}: left out {told}: {_enumerate(missing)}")
    return [samples[0] for samples in found.values() if samples]


def _without_ending(name: str) -> str:
    """A name without the ending of either edition: lists of one serve the other."""
    endings = tuple(ending for edition in EDITIONS for ending in edition.endings)
    return name.rpartition(".")[0] if name.lower().endswith(endings) else name


def _check_classes(path: Path, samples: list[Sample], classes: Mapping[str, list[Path]]) -> None:
    present = {number for _, number in samples}
    if lost := [name for number, name in enumerate(classes) if number not in present]:
        raise StageError(f"{path}: expected pictures of every class, found none of {lost[0]}")


def _count(names: Sequence[object]) -> str:
    return "1 picture is" if len(names) == 1 else f"{len(names):,} pictures are"


def _enumerate(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
