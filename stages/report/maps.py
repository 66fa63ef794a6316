"""Maps of scenes: picture, area of each class, agreement with the truth where there is one."""

import csv
import re
from typing import Any

from shared.errors import StageError
from stages.report import pictures
from stages.report.inputs import Product, read_json

COLUMNS = ("class", "name", "colour", "cells", "share", "km2")
MEASURES = {
    "agreement_raw": "of the cells have their true class",
    "agreement": "after the filter",
    "mean_iou": "mean IoU",
}


def describe(product: Product) -> dict[str, Any]:
    """Name, facts, picture and the classes that there are, those of the largest area first.

    Raises:
        StageError: a file that is missing, or not as map writes it.
    """
    facts = read_json(product.path / "map.json")
    picture = product.path / "quicklook.png"
    if not picture.is_file():
        raise StageError(f"{picture}: expected the picture of a map, found none")
    lines = sorted(read_areas(product), key=lambda line: -line["cells"])
    told = [
        f"{100 * facts[name]:.1f} % {text}"
        for name, text in MEASURES.items()
        if isinstance(facts.get(name), float)
    ]
    return {
        "name": product.name, "scene": str(facts.get("scene", "")),
        "filter": str(facts.get("filter", "none")), "agreement": told,
        "truth": facts.get("cells_with_truth", 0), "picture": pictures.file_uri(picture),
        "areas": [line for line in lines if line["cells"]],
    }  # fmt: skip


def read_areas(product: Product) -> list[dict[str, Any]]:
    """The lines of area.csv; StageError when it is another table."""
    path = product.path / "area.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            rows = list(table)
            if tuple(table.fieldnames or ()) != COLUMNS:
                raise ValueError(f"columns {table.fieldnames}")
        return [_read_line(row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise StageError(f"{path}: expected areas of a map as map writes them ({error})") from None


def format_area(square_kilometres: float) -> str:
    """With one digit behind the point; of less than one, as of orthophotos, with three in all."""
    form = ".1f" if square_kilometres >= 1 or not square_kilometres else ".3g"
    return format(square_kilometres, form)


def _read_line(row: dict[str, str]) -> dict[str, Any]:
    """One class; the colour goes into the page, so it must be one."""
    if not re.fullmatch("#[0-9a-f]{6}", row["colour"]):
        raise ValueError(f"colour {row['colour']!r}")
    return {
        "name": row["name"], "colour": row["colour"], "cells": int(row["cells"]),
        "share": f"{100 * float(row['share']):.1f}",
        "km2": format_area(float(row["km2"])) if row["km2"] else "–",
    }  # fmt: skip
