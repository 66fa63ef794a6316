"""Small tile files: drawn tiles with roads, buildings, woods and water, or noise."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches, tiles

# red, green, blue of each class, and how much a pixel differs from that
LOOKS = (
    ((120, 125, 90), 14), ((150, 80, 70), 8), ((45, 75, 45), 16), ((50, 80, 110), 4),
    ((135, 132, 130), 5),
)  # fmt: skip
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def draw(count: int, side: int, seed: int = 0) -> Pair:
    """(N, S, S, 3) images and (N, S, S) masks of LandCover.ai's classes, all five in each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    masks = np.zeros((count, side, side), np.uint8)
    for mask in masks:
        for number in (2, 3):  # a wood and a lake, round
            row, column, radius = (*rng.uniform(0, side, 2), side * rng.uniform(0.2, 0.35))
            mask[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number
        angle, shift = rng.uniform(0, np.pi), rng.uniform(-0.2, 0.2) * side
        across = (x - side / 2) * np.cos(angle) + (y - side / 2) * np.sin(angle)
        mask[abs(across - shift) < 3] = 4
        for top, left in rng.integers(0, side - 12, (3, 2)):
            mask[top : top + 8, left : left + 11] = 1
    colours = np.array([colour for colour, _ in LOOKS])[masks]
    spread = np.array([deviation for _, deviation in LOOKS])[masks][..., None]
    images = colours + spread * rng.standard_normal(colours.shape)
    return images.round().clip(0, 255).astype(np.uint8), masks


def write(path: Path, pair: Pair, classes: tuple[str, ...] = tiles.CLASSES) -> Path:
    """A tile file of these tiles, all of one orthophoto."""
    images, masks = pair
    count, side = masks.shape[:2]
    moments = [tiles.sum_colours(*each) for each in zip(images, masks, strict=True)]
    fields: dict[str, Any] = {**tiles.fields(side, len(classes))}
    constants = tiles.constants(["drawn"])
    writer = patches.Writer(path, count, "1/1", classes=classes, constants=constants, **fields)
    with writer as sink:
        for rows in sink.todo(count):
            sink.put(
                rows, image=images[rows], mask=masks[rows],
                counts=np.stack([tiles.count_classes(of, len(classes)) for of in masks[rows]]),
                image_moments=np.stack(moments[rows]),
                source=np.zeros(count, np.int32),
                place=np.array([(number, 0, 0) for number in range(count)], np.int32),
            )  # fmt: skip
    return path


def noise(count: int = 9, side: int = 32, seed: int = 0) -> Pair:
    """(N, S, S, 3) images and (N, S, S) masks of noise, with pixels of no class between them."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    known = np.array([*range(len(tiles.CLASSES)), tiles.IGNORE], np.uint8)
    return images, rng.choice(known, (count, side, side))
