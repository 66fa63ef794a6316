"""WorldStrat's tables: the split of each tile, and how far in time its images are from SPOT's."""

import csv
import io
import re
from datetime import date
from pathlib import Path

from shared.clutter import without_clutter
from shared.errors import StageError
from shared.names import is_name
from shared.reading import documents

SPLIT, DATES = "stratified_train_val_test_split.csv", "metadata.csv"
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
LARGEST = 2**20  # bytes of a file of metadata, which PyYAML reads at 100 kB a second
IMAGE = re.compile(r"-(\d+)-L2A_data\.tiff$")


def _read_table(path: Path, *needed: str) -> list[dict[str, str]]:
    """Rows of a table with commas that has these columns."""
    try:
        with io.TextIOWrapper(documents.open_regular(path), "utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            rows, columns = list(table), table.fieldnames or ()
    except (OSError, ValueError, csv.Error) as error:
        raise StageError(f"{path}: expected a table with commas ({error})") from None
    if lacking := [name for name in needed if name not in columns]:
        found = ", ".join(columns)[:200] or "no columns"
        raise StageError(f"{path}: expected a column {lacking[0]}, found {found}")
    if cut := [n for n, row in enumerate(rows, 2) if None in (row[name] for name in needed)]:
        raise StageError(f"{path}: line {cut[0]}: expected as many fields as columns; is it cut?")
    return rows


def read_splits(path: Path) -> dict[str, str]:
    """Split of each tile, whose name is that of its folders.

    Raises:
        StageError: no such table, another split, two splits of one tile, a name that leads
            elsewhere.
    """
    table = dict[str, str]()
    for row in _read_table(path, "tile", "split"):
        if not is_name(row["tile"]) or Path(row["tile"]).name != row["tile"]:
            raise StageError(f"{path}: expected names of folders, found {row['tile'][:80]!r}")
        if row["split"] not in SPLITS:
            expected = f"expected {', '.join(SPLITS)}"
            raise StageError(f"{path}: {row['tile']}: {expected}, found {row['split']!r}")
        split = SPLITS[row["split"]]
        if table.setdefault(row["tile"], split) != split:
            expected = "expected one split for each tile"
            raise StageError(f"{path}: {row['tile']}: {expected}, found two")
    return table


def read_dates(path: Path) -> dict[tuple[str, int], tuple[int, int]]:
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


def find_nearest(
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
        content = yaml.safe_load(documents.read_text(path, LARGEST))
        return int(content["delta"]) if "delta" in content else otherwise
    except (yaml.YAMLError, RecursionError, OSError, TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:160]
        raise StageError(f"{path}: expected YAML with a number delta ({reason})") from None
