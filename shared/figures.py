"""Pictures several stages draw: confusion matrix and training curves. Needs matplotlib."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray


def confusion(path: Path, matrix: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Draw a (K, K) confusion matrix, rows true: colours are row percentages, numbers counts."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 2.5 + 0.38 * len(classes)
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    image = axes.imshow(100 * share, vmin=0, vmax=100, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if share[row, column] > 0.55 else "black"
            axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, label="% of the true class", shrink=0.7)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def curves(path: Path, series: dict[str, dict[str, list[float]]]) -> None:
    """One panel per quantity, one line per network, over epochs.

    Args:
        path: PNG to write.
        series: quantity ("train loss", …) to network name to values, one an epoch.
    """
    width = 4.2 * len(series)
    figure, panels = plt.subplots(
        1, len(series), figsize=(width, 3.2), layout="constrained", squeeze=False
    )
    for axes, (quantity, lines) in zip(panels[0], series.items(), strict=True):
        for name, values in lines.items():
            axes.plot(range(1, len(values) + 1), values, label=name, linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.grid(alpha=0.3)
    panels[0][-1].legend(fontsize=7)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
