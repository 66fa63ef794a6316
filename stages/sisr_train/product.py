"""What a training leaves to people: measures, curves, a picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.comparisons import canvas
from shared.sisr_networks import layers
from shared.training.records import results
from stages.sisr_train.learner import PairLearner
from stages.sisr_train.measuring import Errors
from stages.sisr_train.objective import Scale
from stages.sisr_train.prepared import Prepared

PICTURE, SHOWN = "example.png", 4  # file, and how many rows are in it
COLOURS = (("B4", "B3", "B2"), ("B8A", "B6", "B5"))  # red, green and blue, where there are such
PART = 72  # output pixels of a side that are shown: each is two pixels of the picture


def write_results(
    dst: Path, one: PairLearner, names: tuple[str, ...], measured: dict[str, Errors],
    more: dict[str, Any],
) -> None:  # fmt: skip
    """metrics.json, curves.csv and curves.png.

    Args:
        dst: product folder.
        one: trained.
        names: of the bands.
        measured: validation, and test where there are such rows.
        more: further entries of metrics.json.
    """
    told = {split: errors.describe(names) for split, errors in measured.items()}
    epochs = {"trained_epochs": one.epoch, "kept_epoch": one.kept}
    text = json.dumps({**told, **epochs, **more}, indent=1)
    (dst / "metrics.json").write_text(text + "\n", encoding="utf-8")
    results.write_curves(dst, {one.name: one.history.series}, {one.name: one.kept})


def choose_colours(names: tuple[str, ...]) -> list[int]:
    """Places of the bands that are shown as red, green and blue."""
    for colours in COLOURS:
        if set(colours) <= set(names):
            return [names.index(colour) for colour in colours]
    last = len(names) - 1
    return [min(place, last) for place in (2, 1, 0)]


@torch.inference_mode()
def draw_example(
    path: Path, network: Any, rows: Prepared, scale: Scale, names: tuple[str, ...]
) -> None:
    """A picture of some rows: input, bicubic, made, target, and the truth where it is known."""
    chosen = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(np.intp)
    batch = rows.get(chosen)
    seen = scale.standardise(batch["input"])
    cubic = layers.Cubic(network.factor, len(names))
    shown = {
        "input": batch["input"].repeat_interleave(network.factor, 2).repeat_interleave(
            network.factor, 3
        ),
        "bicubic": scale.restore(cubic(seen)),
        "made": scale.restore(network.cpu().eval()(seen)),
        "target": batch["target"],
    } | ({"truth": batch["truth"]} if "truth" in batch else {})  # fmt: skip
    colours = choose_colours(names[: batch["target"].shape[1]])
    lines = []
    for number in range(len(chosen)):
        images = [_show(of[number], colours) for of in shown.values()]
        ends = canvas.limits(images[list(shown).index("target")])
        lines.append((f"row {number + 1}", [("", [canvas.stretch(i, ends) for i in images])]))
    canvas.draw(path, [("", name) for name in shown], lines)


def _show(image: torch.Tensor, colours: list[int]) -> NDArray[np.float32]:
    """(P, P, 3) the middle of (C, H, W)."""
    high = image.shape[-1]
    part = min(PART, high)
    first = (high - part) // 2
    cut = image[colours, first : first + part, first : first + part]
    shown: NDArray[np.float32] = cut.permute(1, 2, 0).numpy()
    return shown
