"""Plots that several stages draw: confusion matrix and training curves. Needs matplotlib."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
STYLES = {"train": "-", "validation": "--"}  # first word of a quantity to how its lines are drawn
DARK = 0.55  # share of the true class above which a cell has white figures
FEW = 40  # epochs up to which each one is a dot
LISTED = 12  # networks up to which a legend names them


def confusion(path: Path, matrix: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Draw a (K, K) confusion matrix, rows true: shade is the share of the row, numbers are counts.

    Recall and number of rows of each class are on the right, precision is below; a dash stands for
    a division by zero.
    """
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.8 + 0.42 * len(classes)
    figure, axes = plt.subplots(figsize=(side + 1.4, side), layout="constrained")
    image = axes.imshow(100 * share, vmin=0, vmax=100, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if share[row, column] > DARK else "black"
            size = 8 if count < 1000 else 7 if count < 10_000 else 6
            text = _shorten(int(count))
            axes.text(column, row, text, ha="center", va="center", color=colour, size=size)
    _grid(axes, len(classes))
    _margins(axes, matrix, classes)
    figure.colorbar(image, label="% of the true class", shrink=0.6, pad=0.03)
    _save(figure, path)


def _grid(axes: Axes, count: int) -> None:
    edges = np.arange(count + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="#d8dee6", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_color("#9aa5b1")


def _margins(axes: Axes, matrix: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Names left and above, recall and rows right, precision below."""
    places, hits = range(len(classes)), np.diag(matrix)
    truth, predicted = matrix.sum(1), matrix.sum(0)
    axes.set_yticks(places, classes, fontsize=8)
    axes.set_xticks(places, _percents(hits, predicted), fontsize=8)
    above, right = axes.secondary_xaxis("top"), axes.secondary_yaxis("right")
    above.set_xticks(places, classes, fontsize=8, rotation=50, ha="left", rotation_mode="anchor")
    recalls = [
        f"{text} % of {_shorten(n)}" for text, n in zip(_percents(hits, truth), truth, strict=True)
    ]
    right.set_yticks(places, recalls, fontsize=8)
    for side in (above, right):
        side.tick_params(length=0)
    axes.set(xlabel="precision of the predicted class, %", ylabel="true class")
    above.set_xlabel("predicted class")
    right.set_ylabel("recall of the true class")


def _shorten(count: int) -> str:
    """A number that fits into a cell: pixels are counted in millions, rows are not."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= max(unit, 100_000):
            value = count / unit
            return f"{value:.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return str(count)


def _percents(part: Iterable[int], whole: Iterable[int]) -> list[str]:
    return [f"{100 * a / b:.0f}" if b else "–" for a, b in zip(part, whole, strict=True)]


def curves(
    path: Path, series: dict[str, dict[str, list[float]]], kept: dict[str, int] | None = None
) -> None:
    """One panel per measure, one colour per network, over epochs; validation is dashed.

    Args:
        path: PNG to write.
        series: quantity ("train loss", "validation accuracy": split and measure) to network name
            to values, one an epoch.
        kept: network name to the epoch, from 1, whose weights were chosen: a ring, on the
            validation line where there is one.
    """
    measures = list(dict.fromkeys(quantity.split()[-1] for quantity in series))
    names = list(dict.fromkeys(name for lines in series.values() for name in lines))
    colours = _colours(len(names))
    size = (4.8 * len(measures) + (1.6 if len(names) > 1 else 0.4), 3.6)
    figure, panels = plt.subplots(
        1, len(measures), figsize=size, layout="constrained", squeeze=False
    )
    panel = dict(zip(measures, panels[0], strict=True))
    for quantity, lines in series.items():
        split, _, measure = quantity.rpartition(" ")
        for name, values in lines.items():
            colour = colours[names.index(name)]
            ringed = split == "validation" or f"validation {measure}" not in series
            best = (kept or {}).get(name, 0) if ringed else 0
            _line(panel[measure], values, STYLES.get(split, "-"), colour, best)
    longest = max(len(values) for lines in series.values() for values in lines.values())
    for measure, axes in panel.items():
        axes.set(xlabel="epoch", ylabel=measure, xlim=(0.5, longest + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    splits = list(dict.fromkeys(quantity.rpartition(" ")[0] for quantity in series))
    _legend(figure, splits, dict(zip(names, colours, strict=True)), bool(kept))
    _save(figure, path)


def _colours(count: int) -> list[tuple[float, ...]]:
    """One a network: ten that differ well, or a scale where there are more."""
    if count <= 10:
        return [matplotlib.colormaps["tab10"](number) for number in range(count)]
    return [matplotlib.colormaps["turbo"](share) for share in np.linspace(0.05, 0.95, count)]


def _line(
    axes: Axes, values: list[float], style: str, colour: tuple[float, ...], best: int
) -> None:
    dot = "." if len(values) <= FEW else ""
    epochs = range(1, len(values) + 1)
    axes.plot(epochs, values, style, marker=dot, markersize=4, color=colour, linewidth=1.3)
    if 1 <= best <= len(values):
        axes.plot(best, values[best - 1], "o", markersize=9, fillstyle="none", color=colour)


def _legend(
    figure: Figure, splits: list[str], names: dict[str, tuple[float, ...]], kept: bool
) -> None:
    """Right of the panels: how splits are drawn, the ring, and the networks if they are few."""
    grey = "#5b6675"
    keys = [Line2D([], [], color=grey, linestyle=STYLES.get(s, "-"), label=s) for s in splits if s]
    if kept:
        ring = {"marker": "o", "markersize": 9, "fillstyle": "none", "linestyle": ""}
        keys.append(Line2D([], [], color=grey, label="epoch kept", **ring))
    if 1 < len(names) <= LISTED:
        keys += [Line2D([], [], color=colour, label=name) for name, colour in names.items()]
    if keys:
        figure.legend(handles=keys, loc="outside right upper", fontsize=8, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
