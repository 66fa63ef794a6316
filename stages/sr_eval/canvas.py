"""A picture of patches in columns and rows, with texts around them."""

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
