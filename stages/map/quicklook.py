"""The picture of a map for people: colours, legend, scale bar, north arrow."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from shared.scenes import Grid
from stages.map.palette import spell

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
NICE = (1, 2, 5)  # first digits of a scale bar


def draw(
    path: Path,
    classes: NDArray[np.uint8],
    names: tuple[str, ...],
    colours: tuple[str, ...],
    *,
    shares: NDArray[np.floating],
    grid: Grid,
    title: str,
) -> None:
    """Draw a map.

    Args:
        path: PNG to write.
        classes: (H, W) 1 … K, 0 without data.
        names: (K,) of the classes.
        colours: (K,) "#rrggbb".
        shares: (K,) of each class among the cells with data, 0 … 1, for the legend.
        grid: of these cells, for scale and north.
        title: above the map.
    """
    tall = classes.shape[0] / classes.shape[1]
    figure, axes = plt.subplots(
        figsize=(9.2, min(14.0, max(4.8, 6.4 * tall + 0.8))), layout="constrained"
    )
    table = np.array([[255, 255, 255], *(list(bytes.fromhex(c[1:])) for c in colours)], np.uint8)
    axes.imshow(table[classes], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    present = [k for k in range(len(names)) if shares[k] > 0]
    handles = [
        Patch(facecolor=colours[k], edgecolor="#555555", linewidth=0.5,
              label=f"{spell(names[k])}  {100 * shares[k]:.1f} %")
        for k in present
    ]  # fmt: skip
    if (classes == 0).any():
        handles.append(Patch(facecolor="white", edgecolor="#555555", label="no data"))
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, frameon=False)
    _scale_bar(axes, classes.shape, grid)
    _north(axes, classes.shape, grid)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def bar_length(width: float) -> float:
    """A round length of about a quarter of the width, 1, 2 or 5 times a power of ten."""
    target = width / 4
    power = 10.0 ** np.floor(np.log10(target))
    return float(max(digit * power for digit in NICE if digit * power <= target))


def _scale_bar(axes: Axes, shape: tuple[int, ...], grid: Grid) -> None:
    """Below the map, black and white, in metres or kilometres."""
    rows, columns = shape
    length = bar_length(columns * grid.pixel[0])
    cells, thick = length / grid.pixel[0], max(rows, columns) * 0.012
    top = rows - 0.5 + 2 * thick
    for half, colour in enumerate(("black", "white")):
        corner = (-0.5 + half * cells / 2, top)
        axes.add_patch(Rectangle(corner, cells / 2, thick, facecolor=colour, edgecolor="black",
                                 linewidth=0.8, clip_on=False))  # fmt: skip
    metric = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    text = metric if grid.crs or grid.epsg else f"{length:g} units"
    axes.text(cells, top + thick / 2, "  " + text, va="center", fontsize=8)


def _north(axes: Axes, shape: tuple[int, ...], grid: Grid) -> None:
    """An arrow in the upper right corner, which points where y grows."""
    (r0, c0), (r1, c1) = grid.index(*grid.place(0, 0)), grid.index(*_north_of(grid))
    direction = np.array([c1 - c0, r1 - r0])
    direction /= np.hypot(*direction)
    long = 0.08 * max(shape)
    middle = np.array([shape[1] - 0.5 - long, -0.5 + 1.2 * long])
    tip, tail = middle + direction * long / 2, middle - direction * long / 2
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.annotate("N", xy=tuple(tip), xytext=tuple(tail), ha="center", va="center", fontsize=9,
                  bbox=box, arrowprops={"width": 3, "headwidth": 11, "headlength": 11, "shrink": 0,
                                        "facecolor": "black", "edgecolor": "white"}
                  )  # fmt: skip


def _north_of(grid: Grid) -> tuple[float, float]:
    x, y = grid.place(0, 0)
    return x, y + grid.pixel[1]
