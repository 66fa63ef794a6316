"""index.csv of a site of Sen2Venµs version 2: where in which zip archives its patches lie."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shared.errors import StageError
from shared.reading import documents
from stages.pairs.samples import read_date

NAME = "index.csv"
# SITE_137_2020-05-13_44QKE_b2b3b4b8_10m.tif: the columns of a row differ behind this alone.
PATCH = re.compile(r"(.+_\d+_\d{4}-\d{2}-\d{2}_[^_]+)_")

Paths = tuple[str, ...]  # ARCHIVE.zip/MEMBER.tif of each column


def read_columns(path: Path) -> list[str]:
    """The first line of a table with tabs.

    Raises:
        StageError: no such table.
    """
    return next(_read_lines(path), [])


def list_patches(site: Path, columns: list[str]) -> list[tuple[int, Paths]]:
    """Date (yyyymmdd, 0 without one) and places of these columns, for each patch of a site.

    Raises:
        StageError: no such columns; a line that is cut, names a patch again, or has columns of two
            patches; an archive or a member that is missing or cut.
    """
    path, members = site / NAME, dict[str, set[str]]()
    patches, seen = list[tuple[int, Paths]](), dict[str, int]()
    for number, paths in _read_places(path, columns):
        where = f"{path}: line {number}"
        for column, value in zip(columns, paths, strict=True):
            _check_place(site, value, members, f"{where}: {column}")
            if value in seen:
                raise StageError(f"{where}: {value} is in line {seen[value]}, too; take one out")
            seen[value] = number
        _check_one_patch(dict(zip(columns, paths, strict=True)), where)
        patches.append((read_date(paths[0]), paths))
    if not patches:
        raise StageError(f"{path}: expected a line for each patch, found none")
    return patches


def _read_lines(path: Path) -> Iterator[list[str]]:
    """The fields of each line."""
    try:
        with io.TextIOWrapper(documents.open_regular(path), "utf-8-sig", newline="") as file:
            yield from csv.reader(file, delimiter="\t")
    except (OSError, ValueError, csv.Error) as error:
        raise StageError(f"{path}: expected a table with tabs, found none ({error})") from None


def _read_places(path: Path, columns: list[str]) -> Iterator[tuple[int, Paths]]:
    """Number and fields of each line behind the first one."""
    lines = _read_lines(path)
    head = next(lines, [])
    if lacking := [column for column in columns if column not in head]:
        found = ", ".join(name for name in head if name)[:200] or "no columns"
        raise StageError(f"{path}: expected a column {lacking[0]}, found {found}")
    places = [head.index(column) for column in columns]
    for number, fields in enumerate(lines, 2):
        if not fields:  # an empty line
            continue
        if len(fields) != len(head):
            expected = f"expected {len(head)} fields as in the first line, found {len(fields)}"
            raise StageError(f"{path}: line {number}: {expected}; is it cut?")
        yield number, tuple(fields[place] for place in places)


def _check_place(site: Path, value: str, members: dict[str, set[str]], where: str) -> None:
    """StageError where a path leads out of the site or to nothing; archives are listed once."""
    archive, _, member = value.partition(".zip/")
    place = PurePosixPath(value)
    if not member or place.is_absolute() or ".." in place.parts:
        expected = "expected ARCHIVE.zip/MEMBER.tif in the folder of the site"
        raise StageError(f"{where}: {expected}, found {value[:200]!r}")
    path = site / f"{archive}.zip"
    if archive not in members:
        members[archive] = _list_members(path)
    if member not in members[archive]:
        raise StageError(f"{where}: {path}: expected {member}, found no such member")


def _list_members(archive: Path) -> set[str]:
    try:
        with documents.open_regular(archive) as raw, zipfile.ZipFile(raw) as file:
            return set(file.namelist())
    except FileNotFoundError:
        raise StageError(f"{archive}: no such archive, which {NAME} beside it names") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise StageError(f"{archive}: not a complete zip archive ({error})") from None


def _check_one_patch(paths: dict[str, str], where: str) -> None:
    """StageError where the names of the members say that they are of two patches."""
    names = {column: PATCH.match(PurePosixPath(value).name) for column, value in paths.items()}
    known = [(match[1], column) for column, match in names.items() if match]
    for patch, column in known[1:]:
        if patch != known[0][0]:
            found = f"{known[0][1]} of {known[0][0]} and {column} of {patch}"
            raise StageError(f"{where}: expected one patch in a line, found {found}")
