"""What a training leaves to people: measures, confusion matrix, curves, examples."""

import colorsys
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared import models, patches, tiles
from shared.models import figures
from shared.segmentation import data, fitting, learner
from shared.tiles import figures as tile_figures
from shared.training.records import results

EXAMPLES, NUMBER = "examples", 6  # folder of the pictures, and how many there are


def write_results(
    dst: Path, one: learner.MaskLearner, card: models.Card, measured: dict[str, fitting.Measured],
    more: dict[str, Any],
) -> None:  # fmt: skip
    """metrics.json, confusion.csv and .png of the last split, curves.csv and .png.

    Args:
        dst: product folder.
        one: trained.
        card: names of the classes.
        measured: validation, and test where there is one.
        more: further entries of metrics.json.
    """
    classes, last = card.classes, list(measured)[-1]
    told = {
        split: {"loss": of.loss, **tiles.measure(of.matrix, classes)}
        for split, of in measured.items()
    }
    epochs = {"trained_epochs": one.epoch, "kept_epoch": one.kept, "confusion_of": last}
    content = {"classes": classes, **told, **epochs, **more}
    (dst / "metrics.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    matrix = measured[last].matrix
    write_confusion(dst / "confusion.csv", matrix, classes)
    figures.confusion(dst / "confusion.png", matrix, classes)
    results.write_curves(dst, {one.name: one.history.series}, {one.name: one.kept})


def write_confusion(path: Path, matrix: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """A (K, K) matrix of pixels as a table, rows true."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *classes])
        table.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))


def draw_examples(
    dst: Path, one: learner.MaskLearner, stream: data.TileStream, sight: fitting.Sight
) -> None:
    """Some tiles that show every class: image, truth, prediction, error.

    Args:
        dst: product folder; they go into examples/ in it.
        one: trained.
        stream: of the split that is shown.
        sight: what the network sees of it.
    """
    with patches.read(stream.path, "image", "mask") as source:
        counts, names = tiles.read_table(source).counts, tiles.list_names(source)
    (dst / EXAMPLES).mkdir(exist_ok=True)
    card = sight.card
    colours = card.colours or spread_colours(len(card.classes))
    for row in tiles.choose_examples(counts, NUMBER):
        truth, predicted = predict(one, stream, row, sight)
        shown = tile_figures.Example(names[row], truth[0], truth[1], predicted)
        path = dst / EXAMPLES / f"tile-{row:05}.png"
        tile_figures.draw_example(path, shown, card.classes, colours)


def spread_colours(count: int) -> tuple[str, ...]:
    """ "#rrggbb" of classes whose colours nobody chose: hues around the circle."""
    shades = (colorsys.hsv_to_rgb(number / count, 0.6, 0.85) for number in range(count))
    return tuple("#" + "".join(f"{round(255 * part):02x}" for part in shade) for shade in shades)


@torch.inference_mode()
def predict(
    one: learner.MaskLearner, stream: data.TileStream, row: int, sight: fitting.Sight
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]:
    """(H, W, 3) image and (H, W) mask as the network sees them, and the (H, W) classes it says."""
    some = stream[[row]]
    image, _ = data.see_plain(some.image, some.mask, sight.views)
    batch = sight.see(some)
    said = one.network.cpu().eval()(batch["image"]).argmax(1)[0]
    levels = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8)
    pair = levels.numpy(), batch["mask"][0].numpy()
    return pair, said.to(torch.uint8).numpy()
