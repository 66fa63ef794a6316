"""From a patch file to the input of a network, in numpy, for all code that runs a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models.cards import Card
from shared.models.resizing import resize, resize_levels
from shared.patches import Source

TILES, COLOURS = "image", ("red", "green", "blue")  # dataset of a tile file, and its bands


def locate_bands(source: Source, bands: tuple[str, ...]) -> list[tuple[str, int]]:
    """Dataset name and channel index of each band in a patch file or tile file.

    Raises:
        StageError: no dataset of the file has a band.
    """
    places: dict[str, tuple[str, int]] = {}
    for name in ("sen1", "sen2", "rgb"):
        if name in source and (layout := source[name].layout):
            places |= {band: (name, index) for index, band in enumerate(layout.bands)}
    if TILES in source:
        places |= {band: (TILES, index) for index, band in enumerate(COLOURS)}
    for band in bands:
        if band not in places:
            raise StageError(f"{source.path}: expected band {band!r}, found {list(places)}")
    return [places[band] for band in bands]


def read_scaled(source: Source, bands: tuple[str, ...], rows: slice) -> NDArray[np.float32]:
    """(rows, H, W, C) values of the named bands scaled to 0 … 255."""
    places = locate_bands(source, bands)
    read = {name: _scale(source, name, rows) for name in {name for name, _ in places}}
    return np.stack([read[name][..., index] for name, index in places], -1)


def _scale(source: Source, name: str, rows: slice) -> NDArray[np.float32]:
    layout = source[name].layout
    if layout is None:  # a tile file: red, green and blue are 0 … 255
        return source[name][rows]
    return layout.scale(source[name][rows]).astype(np.float32)


def band_statistics(
    source: Source, bands: tuple[str, ...], decimals: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per band on the 0 … 1 scale of `Card`, rounded.

    Three decimals are what Voyager's streaming pipeline keeps in every release, six from SDK 1.6
    on: so training and inference agree.
    """
    mean, std = [], []
    for name, index in locate_bands(source, bands):
        means, stds = source.statistics(name)
        mean.append(round(float(means[index]) / 255, decimals))
        std.append(max(round(float(stds[index]) / 255, decimals), 0.001))
    return tuple(mean), tuple(std)


def preprocess(values: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """(N, H, W, C) values 0 … 255 to the network's (N, C, size, size) float32 input."""
    return preprocess_levels(to_levels(values, card), card)


def preprocess_levels(levels: NDArray[np.floating], card: Card) -> NDArray[np.float32]:
    """The same of what `to_levels` makes, which a picture holds."""
    images = np.moveaxis(levels, -1, 1)
    if card.eight_bit:
        return _normalise(resize_levels(images, card.size, card.size, card.interpolation), card)
    return resize(_normalise(images, card), card.size, card.size, card.interpolation)


def standardise(images: NDArray[np.floating], card: Card) -> NDArray[np.float32]:
    """(…, C, H, W) values 0 … 255, in the card's range, less its mean, over its deviation.

    They are whole levels first where it asks for 8 bits. Pixel by pixel: a patch has the same
    values as a part of a scene.
    """
    return _normalise(np.moveaxis(to_levels(np.moveaxis(images, -3, -1), card), -1, -3), card)


def _normalise(levels: NDArray[np.floating], card: Card) -> NDArray[np.float32]:
    mean, std = (np.asarray(value, np.float32)[:, None, None] for value in (card.mean, card.std))
    return np.ascontiguousarray((levels / np.float32(255) - mean) / std, np.float32)


def to_levels(values: NDArray[np.floating], card: Card) -> NDArray[np.floating]:
    """(…, C) values 0 … 255 as their file scales them, to the range of the card.

    Whole levels for a network that sees such; for others neither rounded nor cut off.
    """
    values = to_range(values, card)
    return round_to_levels(values) if card.eight_bit else values


def to_range(values: NDArray[np.floating], card: Card) -> NDArray[np.floating]:
    """(…, C) values 0 … 255 as their file scales them, to those of the card's range, and beyond."""
    return stretch(values, card.limits) if card.low else values


def stretch(
    values: NDArray[np.floating], limits: Sequence[tuple[float, float]]
) -> NDArray[np.floating]:
    """(…, C) values 0 … 255 of a file to 0 … 255 between these limits, and beyond.

    In single precision and in this order, as `shared.training` does on the device, so that both
    round to the same levels.
    """
    low, factor = np.asarray([shift_of(*ends) for ends in limits], np.float32).T
    return (values.astype(np.float32) - low) * factor


def shift_of(low: float, high: float) -> tuple[float, float]:
    """What is subtracted from values 0 … 255, and what the rest is multiplied by."""
    return 255 * low, 1 / (high - low)


def round_to_levels(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values 0 … 255 to the whole levels of an 8-bit picture.

    It adds a thousandth more than one half: so DN 2800, which is level 25.5 up to rounding errors,
    is rounded in the same direction by all code that does this.
    """
    return np.clip(np.floor(values + np.float32(0.501)), 0, 255)
