"""Band statistics of a scene, and bringing them to those of the training split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz, models, patches
from shared.errors import StageError
from shared.models import MODEL_FILE, Card
from shared.reading import documents
from shared.scenes import PER_UNIT, Scene

BLOCK = 512  # pixels per side that are read at once


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of bands, on the scale 0 … 1 of a card.

    Attributes:
        mean, std: (C,) in the order of the scene's bands.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure(scene: Scene) -> Statistics:
    """Statistics over all pixels that are seen; the same whatever is read at once.

    Sums of whole numbers are exact, so that no order of blocks changes them.

    Raises:
        StageError: no pixel is seen.
    """
    height, width = scene.shape
    count = 0
    first, second = np.zeros((2, len(scene.bands)), np.uint64)
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            place = top, left, min(BLOCK, height - top), min(BLOCK, width - left)
            seen = np.rint(scene.window(*place)[scene.valid(*place)] * PER_UNIT).astype(np.uint64)
            seen = np.minimum(seen, round(lcz.SEN2.high * PER_UNIT))
            count += len(seen)
            first += seen.sum(0)
            second += (seen * seen).sum(0)
    if not count:
        raise StageError(f"{scene.path}: expected pixels with data, found none")
    unit = PER_UNIT * (lcz.SEN2.high - lcz.SEN2.low)
    means = [int(value) / count for value in first]
    spreads = [
        max(0.0, int(value) / count - mean**2) ** 0.5
        for value, mean in zip(second, means, strict=True)
    ]
    return Statistics(tuple(m / unit for m in means), tuple(s / unit for s in spreads))


def match(
    values: NDArray[np.float32], found: Statistics, trained: Statistics, bands: list[int]
) -> NDArray[np.float32]:
    """(…, C) values 0 … 255 of a network's bands, shifted and scaled to other statistics.

    Args:
        values: as the scene has them.
        found: of the scene.
        trained: of the training split.
        bands: place of each of the network's bands in the scene.
    """
    mean = np.array([found.mean[b] for b in bands])
    std = np.array([max(found.std[b], 1e-6) for b in bands])
    gain = np.array(trained.std) / std
    shift = 255 * (np.array(trained.mean) - gain * mean)
    return values * gain.astype(np.float32) + shift.astype(np.float32)


def describe_training(card: Card) -> Statistics:
    """What a card tells of the training split, on the scale of the file, whatever its range."""
    low = np.array(card.low or (0.0,) * len(card.bands))
    high = np.array(card.high or (1.0,) * len(card.bands))
    mean = low + np.array(card.mean) * (high - low)
    return Statistics(tuple(mean.tolist()), tuple((np.array(card.std) * (high - low)).tolist()))


def find_training(folder: Path, card: Card, training: Path | None) -> Statistics:
    """Statistics of the training split: of its patch file, else as the folder tells them.

    Raises:
        StageError: no file is given, and the folder tells none.
    """
    if training:
        with patches.read(training, "sen2") as source:
            return Statistics(*models.band_statistics(source, card.bands, decimals=6))
    return describe_training(card) if any(card.mean) else read_beside(folder, card)


def guess_training(folder: Path, card: Card) -> Statistics:
    """As `find_training`, or what the card says where nothing is known: it fills hidden pixels."""
    try:
        return find_training(folder, card, None)
    except StageError:
        return describe_training(card)


def read_beside(folder: Path, card: Card) -> Statistics:
    """What model.json tells of the training split beside a card whose mean is 0 in every band.

    Such networks take reflectance as it is; `weights` writes the statistics where they are known.

    Raises:
        StageError: it tells none.
    """
    try:
        told = documents.read_json(folder / MODEL_FILE)["training_reflectance"]
        span = lcz.SEN2.high - lcz.SEN2.low
        mean = tuple((float(value) - lcz.SEN2.low) / span for value in told["mean"])
        std = tuple(float(value) / span for value in told["std"])
        if len(mean) == len(std) == len(card.bands) and all(value > 0 for value in std):
            return Statistics(mean, std)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise StageError(
        f"--match: expected mean and std of the training split in {folder} for {card.file}, "
        "found a mean of 0 in every band; --training takes them from a patch file"
    )
