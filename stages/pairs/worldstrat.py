"""WorldStrat: SPOT images of 1.5 m, each with Sentinel-2 images of several dates around it."""

import csv
import functools
import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.clutter import without_clutter
from shared.errors import StageError
from stages.pairs import rasters
from stages.pairs.samples import Layout, Row, Sample, as_int16

TABLE, DATES = "stratified_train_val_test_split.csv", "metadata.csv"
FINE = "hr_dataset"
COARSE = ("lr_dataset_l2a", "lr_dataset")  # of either edition; images lie in ID/L2A
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
METRES, LOW = 1.5, 10.0  # of a pixel of SPOT and of Sentinel-2
SIDE, MARGIN = 128, 10  # pixels of Sentinel-2 that are taken, and left out before them
BANDS = ("B2", "B3", "B4", "B8")
LOW_PLACES, HIGH_PLACES = (1, 2, 3, 7), (2, 1, 0, 3)  # of BANDS among 12 bands; among R, G, B, NIR
APART = 20.0  # metres by which the two may differ along a side
DIGITAL = 20.0  # reflectance that no land has: the values are digital numbers
IMAGE = re.compile(r"-(\d+)-L2A_data\.tiff$")


def open_layout(src: Path, scale: int, max_delta: int, mtf: float) -> Layout:
    """One row for each tile of the published table that has a date close to that of SPOT.

    Args:
        src: folder with hr_dataset/ and lr_dataset_l2a/ or lr_dataset/.
        scale: 4 brings SPOT to 2.5 m, 2 to 5 m.
        max_delta: days; the date must be nearer than this.
        mtf: of the filter that brings it there.

    Raises:
        StageError: no table; an image of SPOT that is missing; no tile with such a date.
    """
    coarse = next((src / name for name in COARSE if (src / name).is_dir()), src / COARSE[0])
    table, dates = _read_splits(src / TABLE), _read_dates(src / DATES)
    rows, far, absent = list[Row](), 0, 0
    for tile, split in sorted(table.items()):
        folder, fine = coarse / tile / "L2A", src / FINE / tile / f"{tile}_ps.tiff"
        if not folder.is_dir():
            absent += 1
            continue
        nearest = _find_nearest(folder, dates)
        if nearest is None or nearest[0] >= max_delta:
            far += 1
            continue
        if not fine.is_file():
            raise StageError(f"{fine}: expected the image of 1.5 m of {folder}, found none")
        rows.append(Row(tile, nearest[2], f"{nearest[1]}", (fine, nearest[1]), split))
    if not rows:
        found = f"{far} whose dates are further apart, {absent} without images"
        raise StageError(f"{coarse}: expected tiles with a date within --max_delta, found {found}")
    note = (
        f"not among them: {far} tiles whose dates are {max_delta} days or more apart, {absent} of "
        f"{TABLE} without images"
    )
    form = sisr.Form(SIDE, {"low": sisr.Bands(BANDS, LOW), "high": sisr.Bands(BANDS, LOW / scale)})
    return Layout(form, rows, functools.partial(_read, scale=scale, mtf=mtf), note)


def _read_table(path: Path, *needed: str) -> list[dict[str, str]]:
    """Rows of a table with commas that has these columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StageError(f"{path}: expected a table with commas ({error})") from None
    if lacking := [name for name in needed if name not in columns]:
        found = ", ".join(columns)[:200] or "no columns"
        raise StageError(f"{path}: expected a column {lacking[0]}, found {found}")
    if cut := [n for n, row in enumerate(rows, 2) if None in (row[name] for name in needed)]:
        raise StageError(f"{path}: line {cut[0]}: expected as many fields as columns; is it cut?")
    return rows


def _read_splits(path: Path) -> dict[str, str]:
    """Split of each tile."""
    table = {}
    for row in _read_table(path, "tile", "split"):
        if row["split"] not in SPLITS:
            expected = f"expected {', '.join(SPLITS)}"
            raise StageError(f"{path}: {row['tile']}: {expected}, found {row['split']!r}")
        table[row["tile"]] = SPLITS[row["split"]]
    return table


def _read_dates(path: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """Days between the two images, and yyyymmdd of the coarser, by tile and number; {} without."""
    if not path.is_file():
        return {}
    dates = {}
    for row in _read_table(path, "tile", "n", "lowres_date", "highres_date"):
        try:
            low, high = (date.fromisoformat(row[f"{n}res_date"][:10]) for n in ("low", "high"))
            dates[row["tile"], int(row["n"])] = (low - high).days, int(f"{low:%Y%m%d}")
        except ValueError as error:
            raise StageError(f"{path}: {row['tile']}: expected dates ({error})") from None
    return dates


def _find_nearest(
    folder: Path, dates: dict[tuple[str, int], tuple[int, int]]
) -> tuple[int, Path, int] | None:
    """Days apart, image and yyyymmdd (0: unknown) of the nearest date; the first of equal ones."""
    tile, found = folder.parent.name, []
    for image in without_clutter(folder.glob("*-L2A_data.tiff")):
        match = IMAGE.search(image.name)
        number = int(match[1]) if match else 0
        beside = image.with_name(f"{tile}-{number}.metadata")
        days, day = dates.get((tile, number), (None, 0))
        if beside.is_file():
            days = _read_delta(beside, days)
        if days is not None:
            found.append((abs(days), number, image, day))
    if not found:
        return None
    days, _, image, day = min(found)
    return days, image, day


def _read_delta(path: Path, otherwise: int | None) -> int | None:
    """The days between the two images that a file of metadata says."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return int(content["delta"]) if "delta" in content else otherwise
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise StageError(f"{path}: expected YAML with a number delta ({reason})") from None


def _read(row: Row, scale: int, mtf: float) -> Sample:
    fine, coarse = row.parts
    low, high = rasters.read(coarse).pixels, rasters.read(fine).pixels
    check_sizes(low, high, coarse, fine)
    return {"low": crop_low(low, f"{coarse}"), "high": bring_to_grid(high, scale, mtf, f"{fine}")}


def check_sizes(low: NDArray[Any], high: NDArray[Any], coarse: Path, fine: Path) -> None:
    """Refuse images that have other bands, are too small or show land of another size."""
    ends = (MARGIN + SIDE) * LOW
    for pixels, metres, bands, path in ((low, LOW, 12, coarse), (high, METRES, 4, fine)):
        if pixels.shape[2] != bands or min(pixels.shape[:2]) * metres < ends:
            least = int(np.ceil(ends / metres))
            expected = f"expected {bands} bands of {least}x{least} pixels or more"
            raise StageError(f"{path}: {expected}, found shape {pixels.shape}")
    for ours, other in zip(low.shape[:2], high.shape[:2], strict=True):
        if abs(ours * LOW - other * METRES) > APART:
            expected = f"expected the land of {coarse.name}, {ours * LOW:g} m along a side"
            raise StageError(f"{fine}: {expected}, found {other * METRES:g} m")


def crop_low(pixels: NDArray[Any], where: str) -> NDArray[np.int16]:
    """(SIDE, SIDE, 4) of (H, W, 12) reflectance; zeros in all bands are missing."""
    inside = slice(MARGIN, MARGIN + SIDE)
    part = pixels[inside, inside].astype(np.float64)
    if np.nanmax(part, initial=0) > DIGITAL:
        expected = "expected reflectance of 0 … 1"
        raise StageError(f"{where}: {expected}, found {np.nanmax(part):,.0f}: digital numbers")
    part[(part == 0).all(-1)] = np.nan
    return as_int16(part[..., LOW_PLACES] * sisr.PER_UNIT, where)


def bring_to_grid(pixels: NDArray[Any], scale: int, mtf: float, where: str) -> NDArray[np.int16]:
    """(scale * SIDE, scale * SIDE, 4) of (H, W, 4) pixels of 1.5 m; zeros are missing."""
    step = LOW / scale / METRES
    sigma = sisr.spread(mtf, step)
    down, across = (
        sisr.weigh(cells, scale * SIDE, step, sigma, MARGIN * LOW / METRES)
        for cells in pixels.shape[:2]
    )
    made = sisr.apply(pixels[..., HIGH_PLACES].astype(np.float64), down, across)
    missing = (pixels == 0).all(-1, keepdims=True).astype(np.float64)
    touched = sisr.apply(missing, down, across)[..., 0] > 1e-3
    made[touched] = np.nan
    return as_int16(made, where)
