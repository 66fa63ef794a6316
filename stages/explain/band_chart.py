"""Bars of what is lost without each band."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from stages.explain.canvas import DPI, SOFT
from stages.explain.test_rows import Band


def draw(path: Path, products: dict[str, list[Band]]) -> None:
    """What is lost without each band, one panel a product, all on one scale.

    Args:
        path: PNG to write.
        products: name to bands.
    """
    most = max(map(len, products.values()))
    size = (0.6 + 4.6 * len(products), 1.5 + 0.36 * most)
    figure, panels = plt.subplots(
        1, len(products), figsize=size, squeeze=False, sharex=True, layout="constrained"
    )
    for axes, (name, bands) in zip(panels[0], products.items(), strict=True):
        places = np.arange(len(bands))
        for shift, (label, (values, colour)) in zip(
            (-0.2, 0.2), losses(bands).items(), strict=True
        ):
            axes.barh(places + shift, values, 0.38, label=label, color=colour)
        axes.set_yticks(places, [one.band for one in bands])
        axes.axvline(0, color=SOFT, linewidth=0.8)
        axes.set(title=name, xlabel="lost where the band is its training mean")
        axes.set_ylim(most - 0.4, -0.6)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right", "left"]].set_visible(False)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def losses(bands: list[Band]) -> dict[str, tuple[list[float], str]]:
    """Of each measure what is lost without each band, in percent, and the colour of its bars."""
    return {
        "accuracy, points": ([100 * (b.accuracy - b.accuracy_without) for b in bands], "#2f6f9f"),
        "score of the true class × 100": (
            [100 * (b.score - b.score_without) for b in bands], "#e0a458",
        ),
    }  # fmt: skip
