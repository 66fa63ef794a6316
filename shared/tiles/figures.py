"""Example tiles as pictures. Needs matplotlib, so it is imported by name where it is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch
from numpy.typing import NDArray

from shared.tiles.examples import colour_mask
from shared.tiles.form import IGNORE

plt.rcParams["text.parse_math"] = False  # a $ in a name is a $
RIGHT, WRONG = "#dfe5ec", "#d62728"
PANEL = 2.6  # inches


@dataclass(frozen=True)
class Example:
    """One tile and what a network says of it.

    Attributes:
        name: title.
        image: (H, W, 3) uint8.
        truth: (H, W) class numbers, IGNORE for none.
        predicted: (H, W) class numbers.
    """

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predicted: NDArray[np.uint8]


def show_errors(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) picture: red where the class is wrong, white where there is no true one.

    Args:
        truth: (H, W) class numbers, IGNORE for none.
        predicted: (H, W) class numbers.
    """
    kinds = (truth != predicted).astype(np.uint8)
    return colour_mask(np.where(truth == IGNORE, np.uint8(IGNORE), kinds), (RIGHT, WRONG))


def draw_example(
    path: Path, example: Example, classes: Sequence[str], colours: Sequence[str]
) -> None:
    """Image, truth, prediction and errors beside each other, with the classes below.

    Args:
        path: PNG to write.
        example: what to show.
        classes: the K names.
        colours: "#rrggbb" of each.
    """
    panels = {
        "image": example.image,
        "truth": colour_mask(example.truth, colours),
        "prediction": colour_mask(example.predicted, colours),
        "error": show_errors(example.truth, example.predicted),
    }
    size = (PANEL * len(panels), PANEL + 0.8)
    figure, all_axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for axes, (title, picture) in zip(all_axes, panels.items(), strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    named = [*zip(classes, colours, strict=True), ("right", RIGHT), ("wrong", WRONG)]
    keys = [Patch(facecolor=colour, edgecolor="#9aa5b1", label=name) for name, colour in named]
    if (example.truth == IGNORE).any():
        keys.append(Patch(facecolor="white", edgecolor="#9aa5b1", label="no class"))
    figure.legend(handles=keys, loc="outside lower center", ncols=9, fontsize=8, frameon=False)
    figure.suptitle(example.name, fontsize=9)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
