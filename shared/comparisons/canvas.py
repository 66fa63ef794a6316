"""A picture of patches in columns and rows, with texts around them."""

import itertools
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
Pixels = NDArray[np.uint8]
Text = tuple[int, int, str, dict[str, Any]]  # x and y from the upper left corner, text, style
Column = tuple[str, str]  # group, heading
Row = tuple[str, list[tuple[str, list[Pixels]]]]  # name; lines with a name and a cell each column
CELL, GAP, APART = 144, 4, 20  # pixels of the picture: a patch, between patches, between groups
LEFT, TOP, EDGE, DPI = 52, 66, 10, 110
GAMMA = 0.75  # lifts dark parts (trees, water) a little


def limits(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, C) dark and bright end of (H, W, C): the 1st and 99th percentile of each channel."""
    return np.percentile(values.reshape(-1, values.shape[-1]), (1, 99), 0)


def stretch(values: NDArray[np.float32], ends: NDArray[np.float64]) -> Pixels:
    """(H, W, C) between the ends to 0 … 255; a channel without contrast is grey."""
    span = ends[1] - ends[0]
    share = np.where(span > 0, (values - ends[0]) / np.where(span > 0, span, 1), 0.5).clip(0, 1)
    return (255 * share**GAMMA).round().astype(np.uint8)


def pixels(picture: Pixels) -> Pixels:
    """(H, W, 3) to (CELL, CELL, 3), each pixel as it is."""
    rows, columns = (np.arange(CELL) * side // CELL for side in picture.shape[:2])
    return picture[rows][:, columns]


def places(groups: list[str]) -> list[int]:
    """Left edge of every column, from the group of each."""
    changes = np.cumsum([0] + [a != b for a, b in itertools.pairwise(groups)])
    return [LEFT + i * (CELL + GAP) + int(n) * APART for i, n in enumerate(changes)]


def draw(path: Path, columns: list[Column], rows: list[Row]) -> None:
    """Write a PNG of cells.

    Args:
        path: file to write; always the same bytes.
        columns: those of one group lie side by side.
        rows: all with the same number of lines; a cell is (H, W, 3), of any size.
    """
    left, lines = places([group for group, _ in columns]), len(rows[0][1])
    each = lines * (CELL + GAP) + APART
    picture = np.full((TOP + each * len(rows), left[-1] + CELL + EDGE, 3), 255, np.uint8)
    texts = _headings(columns, left)
    for number, (name, shown) in enumerate(rows):
        top = TOP + number * each
        style = {"rotation": 90, "ha": "left", "weight": "bold"}
        texts.append((4, top + (each - APART) // 2, name, style))
        for line, (colour, cells) in enumerate(shown):
            y = top + line * (CELL + GAP)
            texts.append((LEFT - 8, y + CELL // 2, colour, {"rotation": 90, "ha": "right"}))
            for x, cell in zip(left, cells, strict=True):
                picture[y : y + CELL, x : x + CELL] = pixels(cell)
    write(path, picture, texts)


def _headings(columns: list[Column], left: list[int]) -> list[Text]:
    made: list[Text] = [
        (x + CELL // 2, TOP - 4, heading, {"ha": "center", "va": "bottom"})
        for x, (_, heading) in zip(left, columns, strict=True)
    ]
    pairs = zip(left, columns, strict=True)
    for group, members in itertools.groupby(pairs, lambda pair: pair[1][0]):
        first = next(members)[0]
        made.append((first, 6, group, {"ha": "left", "va": "top", "weight": "bold", "size": 10}))
    return made


def write(path: Path, canvas: Pixels, labels: list[Text]) -> None:
    """A PNG of the canvas, texts at (x, y) from its upper left corner; always the same bytes."""
    height, width, _ = canvas.shape
    figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.figimage(canvas)
    for x, y, text, style in labels:
        style = {"va": "center", "size": 8} | style
        figure.text(x / width, 1 - y / height, text, **style)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
