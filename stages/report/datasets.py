"""Patch files as tables and contact sheets."""

import colorsys
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import lcz, models, patches
from stages.report import pictures, published
from stages.report.inputs import IMAGES, Product


def colours(classes: tuple[str, ...]) -> list[str]:
    """One CSS colour a class: the LCZ key for LCZ classes, else evenly spaced hues."""
    if classes == lcz.CLASSES:
        return list(lcz.COLOURS)
    hues = (colorsys.hls_to_rgb(k / len(classes), 0.5, 0.6) for k in range(len(classes)))
    return ["#" + "".join(f"{round(255 * part):02x}" for part in rgb) for rgb in hues]


def title(name: str) -> str:
    """ "03_CompactLowRise" to "03 Compact Low Rise"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")


def keys(classes: tuple[str, ...]) -> list[dict[str, str]]:
    """Title and colour of each class."""
    pairs = zip(classes, colours(classes), strict=True)
    return [{"title": title(name), "colour": colour} for name, colour in pairs]


def true_colour(source: patches.Source) -> tuple[str, tuple[int, ...]] | None:
    """Dataset and channels of red, green, blue; None when the file cannot be shown in colour."""
    for name in ("sen2", "rgb"):
        layout = source[name].layout if name in source else None
        if layout and set(lcz.TRUE_COLOUR) <= set(layout.bands):
            return name, lcz.indices(layout.bands, lcz.TRUE_COLOUR)
    return None


def pick(source: patches.Source, each: int) -> list[NDArray[np.intp]]:
    """Rows to show, evenly spaced: ``each`` a class, or one group when there are no labels."""
    if "label" not in source:
        return [space_rows(np.arange(_rows(source)), 2 * each)]
    labels = source.labels()
    return [space_rows(np.flatnonzero(labels == k), each) for k in range(len(source.classes))]


def few(source: patches.Source, count: int) -> NDArray[np.intp]:
    """At most ``count`` rows, of as many classes as that allows."""
    groups = len(source.classes) if "label" in source else 1
    return space_rows(np.concatenate(pick(source, -(-count // groups))), count)


def space_rows(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most ``count`` of the rows, evenly spaced."""
    at = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return rows[at]


def _rows(source: patches.Source) -> int:
    return next(len(source[name]) for name in (*IMAGES, "features") if name in source)


def values(source: patches.Source, name: str, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """(rows, H, W, C) of single rows; so that a file of any size is read in an instant."""
    blocks = [source[name][slice(row, row + 1)] for row in rows.tolist()]
    return np.concatenate(blocks) if blocks else np.zeros((0, *source[name].shape[1:]), np.float32)


def describe(product: Product, each: int) -> dict[str, Any]:
    """What the page shows of one patch file."""
    with patches.read(product.path) as source:
        counts, classes = [], tuple[str, ...]()
        if "label" in source:
            classes = source.classes
            counts = np.bincount(source.labels(), minlength=len(classes)).tolist()
        stored = {name: source[name].stored for name in IMAGES if name in source}
        return {
            "name": product.name,
            "rows": _rows(source),
            "lcz": classes == lcz.CLASSES,
            "images": [
                {"name": name, "shape": data.shape[1:], "dtype": str(data.dtype)}
                for name, data in stored.items()
            ],
            "classes": keys(classes),
            "counts": counts,
            "largest": max(counts, default=1),
            "strips": strips(source, each),
            "statistics": statistics(source, classes == lcz.CLASSES),
        }


def strips(source: patches.Source, each: int) -> list[str]:
    """One row of true-colour patches a class, all stretched alike; empty without colour bands."""
    colour_bands = true_colour(source)
    if colour_bands is None:
        return []
    name, channels = colour_bands
    groups = [values(source, name, rows)[..., list(channels)] for rows in pick(source, each)]
    if name == "rgb":  # a picture already
        painted = [group.round().astype(np.uint8) for group in groups]
    else:
        ends = pictures.limits(np.concatenate(groups))
        painted = [pictures.stretch(group, ends) for group in groups]
    return [pictures.uri(pictures.strip(list(group))) if len(group) else "" for group in painted]


def statistics(source: patches.Source, known: bool) -> list[dict[str, Any]]:
    """Mean, deviation and 8-bit levels per optical band, beside what is published for LCZ42."""
    for name in ("sen2", "rgb"):
        if name in source and source[name].attribute("mean") is not None:
            layout, (mean, std) = source[name].layout, source.statistics(name)
            assert layout is not None
            theirs = published.BANDS if known and name == "sen2" else {}
            columns = (layout.bands, mean, std, models.span_levels(source[name]))
            return [
                {"band": band, "mean": float(m), "std": float(s), "levels": int(levels),
                 "few": levels < models.FEW_LEVELS, "published": theirs.get(band)}
                for band, m, s, levels in zip(*columns, strict=True)
            ]  # fmt: skip
    return []
