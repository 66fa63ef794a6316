"""What stands in one panel: a band, a diagram, a persistence image."""

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

COLOURS = ("#2b8fe0", "#e8630a")  # H0, H1
NAMES = ("H0: dark spots", "H1: bright spots")
MARKED = 5  # spots of each dimension that are marked in the band, those that stand out most


def band(
    axes: Any, pixels: NDArray[np.float64], points: list[NDArray[np.float64]], name: str
) -> None:
    """(H, W) in grey, with the places of the longest points of H0 and H1."""
    axes.imshow(pixels, cmap="gray")
    for d in (0, 1):
        row, column = points[d][:MARKED, 2:].T
        axes.plot(column, row, "o", markersize=6, markerfacecolor="none", color=COLOURS[d])
    axes.set_title(f"{name}, black to white {pixels.min():.1f} … {pixels.max():.1f}", fontsize=8)
    axes.set(xticks=[], yticks=[])


def diagram(axes: Any, points: list[NDArray[np.float64]]) -> None:
    """Birth against death of (M, 4) points of H0 and H1."""
    every = np.concatenate(points)[:, :2]
    low, high = (every.min(), every.max()) if len(every) else (0.0, 255.0)
    margin = 0.04 * (high - low)
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color="#999999", linewidth=0.8)
    for d in (0, 1):
        birth, death = points[d][:, :2].T
        axes.plot(birth, death, ".", color=COLOURS[d], markersize=3.5, alpha=0.7, label=f"H{d}")
        birth, death = points[d][:MARKED, :2].T
        axes.plot(birth, death, "o", markersize=6, markerfacecolor="none", color=COLOURS[d])
    axes.set(xlim=ends, ylim=ends, xlabel="birth", ylabel="death")
    axes.set_box_aspect(1)
    axes.legend(fontsize=7, loc="lower right", markerscale=2, handletextpad=0.1)
    axes.set_title("persistence diagram", fontsize=8)
    _small(axes)


def image(axes: Any, cells: NDArray[Any], grid: NDArray[np.float64], top: float) -> None:
    """(bins, bins) cells at their places in units of the band.

    Args:
        axes: of matplotlib.
        cells: persistence descending, birth ascending; a cell's number is its lower left corner.
        grid: (2, 2) birth, persistence; low, high.
        top: value of the brightest colour.
    """
    steps = (grid[:, 1] - grid[:, 0]) / (len(cells) - 1)
    (left, right), (bottom, upper) = grid
    axes.imshow(
        np.asarray(cells, np.float64), cmap="magma", norm=PowerNorm(0.5, 0, top), aspect="auto",
        extent=(left, right + steps[0], bottom, upper + steps[1]), interpolation="nearest",
    )  # fmt: skip
    axes.set_box_aspect(1)
    _small(axes)


def rings(axes: Any, points: NDArray[np.float64], grid: NDArray[np.float64]) -> None:
    """The (M, 4) points themselves over their image, those beyond the grid at its border."""
    if not len(points):
        return  # a line without a point and without clipping has no extent: the layout gives up
    birth = points[:, 0].clip(*grid[0])
    persistence = (points[:, 1] - points[:, 0]).clip(*grid[1])
    axes.plot(
        birth, persistence, "o", markersize=3, markerfacecolor="none", markeredgewidth=0.5,
        color="white", alpha=0.6, clip_on=False,
    )  # fmt: skip


def _small(axes: Any) -> None:
    axes.tick_params(labelsize=6, length=2, pad=1)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(7)
    axes.locator_params(nbins=4)
