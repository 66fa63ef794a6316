"""Sen2Venµs version 2: per site a folder with index.csv and zips of GeoTIFFs, read in place."""

import csv
import functools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.sisr import venus
from stages.pairs import rasters
from stages.pairs.samples import Layout, Row, Sample, as_int16

INDEX = "index.csv"
DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
# SITE_137_2020-05-13_44QKE_b2b3b4b8_10m.tif: the columns of a row differ behind this alone.
PATCH = re.compile(r"(.+_\d+_\d{4}-\d{2}-\d{2}_[^_]+)_")


def open_layout(sites: list[Path], bands: venus.Choice) -> Layout:
    """The rows of all sites, in order of their names and of their tables.

    Raises:
        StageError: a table that is no such table; an archive or a member that is missing or cut;
            two rows of one patch; a row whose columns are of two patches.
    """
    columns: dict[str, tuple[str, ...]] = {**venus.COLUMNS[bands]}
    tables = {site: _read_table(site / INDEX) for site in sites}
    truth = venus.TRUTH[bands]
    simulated = all(truth[0] in table[0] for table in tables.values())
    if simulated:
        metres = columns["low"][0].rpartition("_")[2]
        columns |= {"truth": truth} | {n: (f"{n}_{metres}",) for n in venus.FIELDS}
    needed = [column for group in columns.values() for column in group]
    rows = [
        Row(site.name, date, f"{site / values[needed[0]]}", (site, values))
        for site, table in tables.items()
        for date, values in _check_rows(site, table, needed)
    ]
    described = {n: venus.describe_columns(c) for n, c in columns.items() if n in sisr.IMAGES}
    site, values = rows[0].parts
    side = len(_read_column(site, values, columns["low"][0]).pixels)
    form = sisr.Form(side, described, simulated)
    return Layout(form, rows, functools.partial(_read, form=form, columns=columns))


def _read_table(path: Path) -> list[dict[str, str]]:
    """The rows of index.csv by column.

    Raises:
        StageError: no text with tabs, or a line with more or fewer fields than the first one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{path}: expected a table with tabs, found none ({error})") from None
    if not rows:
        raise StageError(f"{path}: expected a line for each patch, found none")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            expected = f"expected {len(row)} fields as in the first line"
            raise StageError(f"{path}: line {number}: {expected}, found another number; is it cut?")
    return rows


def _check_rows(
    site: Path, table: list[dict[str, str]], needed: list[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Date and paths of each row, which are all there."""
    path, seen, members = site / INDEX, dict[str, int](), dict[str, set[str]]()
    if lacking := [column for column in needed if column not in table[0]]:
        found = ", ".join(name for name in table[0] if name)[:200]
        raise StageError(f"{path}: expected a column {lacking[0]}, found {found}")
    for number, row in enumerate(table, 2):
        values, where = {column: row[column] for column in needed}, f"{path}: line {number}"
        for column, value in values.items():
            archive, _, member = value.partition(".zip/")
            place = PurePosixPath(value)
            if not member or place.is_absolute() or ".." in place.parts:
                expected = "expected ARCHIVE.zip/MEMBER.tif in the folder of the site"
                raise StageError(f"{where}: {column}: {expected}, found {value[:200]!r}")
            name = f"{archive}.zip"
            if name not in members:
                members[name] = _list_members(site / name)
            if member not in members[name]:
                raise StageError(f"{where}: {site / name}: expected {member}, found no such member")
            if value in seen:
                raise StageError(f"{where}: {value} is in line {seen[value]}, too; take one out")
            seen[value] = number
        _check_one_patch(values, where)
        date = DATE.search(values[needed[0]])
        yield int("".join(date.groups())) if date else 0, values


def _list_members(archive: Path) -> set[str]:
    try:
        with zipfile.ZipFile(archive) as file:
            return set(file.namelist())
    except FileNotFoundError:
        raise StageError(f"{archive}: no such archive, which {INDEX} beside it names") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise StageError(f"{archive}: not a complete zip archive ({error})") from None


def _check_one_patch(values: dict[str, str], where: str) -> None:
    """StageError where the names of the members say that they are of two patches."""
    names = {column: PATCH.match(PurePosixPath(value).name) for column, value in values.items()}
    known = [(match[1], column) for column, match in names.items() if match]
    for patch, column in known[1:]:
        if patch != known[0][0]:
            found = f"{known[0][1]} of {known[0][0]} and {column} of {patch}"
            raise StageError(f"{where}: expected one patch in a line, found {found}")


def _read_column(site: Path, values: dict[str, str], column: str) -> rasters.Raster:
    archive, _, member = values[column].partition(".zip/")
    return rasters.read(site / f"{archive}.zip", member)


def _read(row: Row, form: sisr.Form, columns: dict[str, tuple[str, ...]]) -> Sample:
    """The images of a row; its fields in units of `low`, as the pair file has them."""
    site, values = row.parts
    sample, bounds = Sample(), None
    for name, group in columns.items():
        parts = []
        for column in group:
            raster, where = _read_column(site, values, column), f"{site / values[column]}"
            if raster.bounds and bounds and not np.allclose(raster.bounds, bounds, atol=0.5):
                expected = f"expected the ground of {values[columns['low'][0]]}, {bounds}"
                raise StageError(f"{where}: {expected}, found {raster.bounds}")
            bounds = bounds or raster.bounds
            parts.append(_check(raster.pixels, name, column, form, where))
        sample[name] = np.concatenate(parts, -1)
    return sample


def _check(
    pixels: NDArray[Any], name: str, column: str, form: sisr.Form, where: str
) -> NDArray[Any]:
    """(H, W, C) a column as the pair file has it.

    Raises:
        StageError: another size or number of bands, or other numbers.
    """
    image = name in form.bands
    grid = form.shape(name if image else "low")[:2]
    channels = {"flow": 2, "gain": len(venus.FINE), "offset": len(venus.FINE)}
    shape = (*grid, len(venus.describe_columns((column,)).names) if image else channels[name])
    if pixels.shape != shape or pixels.dtype.kind not in ("iu" if image else "f"):
        kind = "whole" if image else "floating-point"
        found = f"{pixels.dtype} of shape {pixels.shape}"
        raise StageError(f"{where}: expected {kind} numbers of shape {shape}, found {found}")
    if image:
        return as_int16(pixels, where)
    if name == "flow":
        return (pixels / form.bands["low"].metres).astype(np.float32)
    return pixels[..., [venus.FINE.index(band) for band in form.bands["high"].names]]
