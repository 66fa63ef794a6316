"""An empty picture with texts at places that are counted in pixels."""

import functools
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
Pixels = NDArray[np.uint8]
DPI = 110
INK, SOFT, WRONG = "#1c2430", "#5b6675", "#b3261e"
SIZE = 7.5  # points of the letters


@functools.cache
def measure(text: str, **style: Any) -> int:
    """Width of a text in pixels."""
    font = FontProperties(size=style.get("size", SIZE), weight=style.get("weight", "normal"))
    return int(TextPath((0, 0), text, prop=font).get_extents().width * DPI / 72) if text else 0


def shorten(text: str, width: int, **style: Any) -> str:
    """Text that fits into so many pixels."""
    if measure(text, **style) <= width:
        return text
    while text and measure(text + "…", **style) > width:
        text = text[:-1]
    return text + "…"


class Canvas:
    """A white picture.

    Attributes:
        pixels: (H, W, 3), to be painted.
    """

    def __init__(self, height: int, width: int) -> None:
        self.pixels: Pixels = np.full((height, width, 3), 255, np.uint8)
        self.height, self.width = height, width
        self.figure = plt.figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI)

    def put(self, x: int, y: int, text: str, **style: Any) -> None:
        """Text whose left end is at x, and its middle at y, from the upper left corner."""
        style = {"va": "center", "size": SIZE, "color": INK, "linespacing": 1.15} | style
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def save(self, path: Path) -> None:
        """Write a PNG; the same picture gives the same bytes."""
        self.figure.figimage(self.pixels)
        self.figure.savefig(path, dpi=DPI, metadata={"Software": None})
        plt.close(self.figure)
