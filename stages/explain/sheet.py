"""A sheet of small pictures in lines and columns, with captions and a colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from shared import models
from stages.explain.canvas import INK, SOFT, Canvas, Pixels, measure, shorten

GAP, APART, EDGE = 6, 26, 14  # pixels: between cells, between groups, around
CAPTION, GROUP, HEADING, TITLE, BAR, RAMP = 34, 22, 13, 48, 72, 256
COLOURS = "plasma"  # equal steps look equal, also in grey and to the colour-blind
LABEL = 150  # most pixels of a line's label
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True)
class Cell:
    """One picture.

    Attributes:
        picture: (H, W, 3).
        caption: one or two lines below it.
        colour: of the caption.
        values: (H, W) 0 … 1, a map that lies over it.
    """

    picture: Pixels
    caption: str = ""
    colour: str = INK
    values: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Line:
    """One line of a sheet: its label and its groups of cells."""

    label: str
    groups: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Sheet:
    """What a picture shows.

    Attributes:
        title: first line.
        note: second line.
        headings: of the groups, and of the columns in each of them, as many lines in all; an empty
            line leaves its place to that of the column before.
        lines: with as many groups, which may have fewer cells.
        opacity: of the maps.
        side: pixels of a cell.
    """

    title: str
    note: str
    headings: Sequence[tuple[str, Sequence[str]]]
    lines: Sequence[Line]
    opacity: float
    side: int = 128


def overlay(cell: Cell, side: int, opacity: float) -> Pixels:
    """(side, side, 3): a patch, each pixel as it is, or a map over the patch in grey."""
    rows, columns = (np.arange(side) * own // side for own in cell.picture.shape[:2])
    picture = cell.picture[rows][:, columns].astype(np.float32)
    if cell.values is None:
        return picture.astype(np.uint8)
    values = models.resize(cell.values, side, side, "bilinear").clip(0, 1)
    painted = 255 * matplotlib.colormaps[COLOURS](values)[..., :3]
    grey = (picture @ GREY)[..., None]
    return np.asarray(((1 - opacity) * grey + opacity * painted).round(), np.uint8)


def draw(path: Path, sheet: Sheet) -> None:
    """Write a PNG; the same sheet gives the same bytes."""
    labels = max((measure(line.label, weight="bold") for line in sheet.lines), default=0)
    left = EDGE + (min(labels, LABEL) + 14 if labels else 0)
    edges = _places(sheet, left)
    top = EDGE + TITLE + _height_of_headings(sheet)
    words = f"share of the largest value of each map; opacity {sheet.opacity:g} over the patch"
    texts = (measure(sheet.title, size=11, weight="bold"), measure(sheet.note), measure(words))
    width = max(edges[-1][-1] + sheet.side, left + max(texts)) + EDGE
    step = sheet.side + CAPTION
    height = top + step * len(sheet.lines) + BAR
    canvas = Canvas(height, width)
    canvas.put(EDGE, EDGE + 8, sheet.title, size=11, weight="bold")
    canvas.put(EDGE, EDGE + 30, sheet.note, color=SOFT)
    _put_headings(canvas, sheet, edges, top)
    for number, line in enumerate(sheet.lines):
        y = top + number * step
        label = shorten(line.label, LABEL, weight="bold")
        canvas.put(EDGE, y + sheet.side // 2, label, weight="bold")
        for group, xs in zip(line.groups, edges, strict=True):
            for cell, x in zip(group, xs, strict=False):
                _put_cell(canvas, sheet, cell, (x, y))
    _put_colour_bar(canvas, height - BAR + 14, left, words)
    canvas.save(path)


def _places(sheet: Sheet, left: int) -> list[list[int]]:
    """Left edge of every cell by group."""
    found, x = [], left
    for _, columns in sheet.headings:
        found.append([x + number * (sheet.side + GAP) for number in range(len(columns))])
        x = found[-1][-1] + sheet.side + APART
    return found


def _height_of_headings(sheet: Sheet) -> int:
    lines = max(len(column.split("\n")) for _, columns in sheet.headings for column in columns)
    return HEADING * lines + 6 + (GROUP if any(group for group, _ in sheet.headings) else 0)


def _put_cell(canvas: Canvas, sheet: Sheet, cell: Cell, place: tuple[int, int]) -> None:
    x, y = place
    part = overlay(cell, sheet.side, sheet.opacity)
    canvas.pixels[y : y + sheet.side, x : x + sheet.side] = part
    for number, words in enumerate(cell.caption.split("\n")):
        below = y + sheet.side + 9 + HEADING * number
        canvas.put(x, below, shorten(words, sheet.side), color=cell.colour)


def _put_headings(canvas: Canvas, sheet: Sheet, edges: list[list[int]], top: int) -> None:
    start = top - _height_of_headings(sheet)
    grouped = any(group for group, _ in sheet.headings)
    for (group, columns), xs in zip(sheet.headings, edges, strict=True):
        canvas.put(xs[0], start + GROUP // 2 - 2, group, size=9, weight="bold")
        for number, (x, column) in enumerate(zip(xs, columns, strict=True)):
            for line, words in enumerate(column.split("\n")):
                free = 1
                while number + free < len(columns) and not columns[number + free].split("\n")[line]:
                    free += 1
                y = start + GROUP * grouped + HEADING * line + 6
                width = free * (sheet.side + GAP) - GAP
                canvas.put(x, y, shorten(words, width), color=SOFT)


def _put_colour_bar(canvas: Canvas, y: int, left: int, words: str) -> None:
    """The colours of the maps as they are, without the patch under them."""
    ramp = 255 * matplotlib.colormaps[COLOURS](np.linspace(0, 1, RAMP))[:, :3]
    canvas.pixels[y : y + 10, left : left + RAMP] = ramp.round().astype(np.uint8)
    for text, x, side in (("0", left, "left"), ("1", left + RAMP, "right")):
        canvas.put(x, y + 19, text, ha=side)
    canvas.put(left, y + 36, words, color=SOFT)
