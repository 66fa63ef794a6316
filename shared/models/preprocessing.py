"""From a patch file to the input of a network, in numpy, for all code that runs a model."""

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models.cards import Card
from shared.models.resizing import resize, resize_levels
from shared.patches import Source


def locate_bands(source: Source, bands: tuple[str, ...]) -> list[tuple[str, int]]:
    """Dataset name and channel index of each band in a patch file.

    Raises:
        StageError: no dataset of the file has a band.
    """
    places: dict[str, tuple[str, int]] = {}
    for name in ("sen1", "sen2", "rgb"):
        if name in source and (layout := source[name].layout):
            places |= {band: (name, index) for index, band in enumerate(layout.bands)}
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
    assert layout is not None
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
    images = np.moveaxis(values, -1, 1)
    if card.eight_bit:
        levels = resize_levels(round_to_levels(images), card.size, card.size, card.interpolation)
        return standardise(levels, card)
    return resize(standardise(images, card), card.size, card.size, card.interpolation)


def standardise(images: NDArray[np.floating], card: Card) -> NDArray[np.float32]:
    """(…, C, H, W) values 0 … 255 less the card's mean, over its deviation.

    They are whole levels first where it asks for 8 bits. Pixel by pixel: a patch has the same
    values as a part of a scene.
    """
    mean, std = (np.asarray(value, np.float32)[:, None, None] for value in (card.mean, card.std))
    levels = round_to_levels(images) if card.eight_bit else images
    return np.ascontiguousarray((levels / np.float32(255) - mean) / std, np.float32)


def round_to_levels(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values 0 … 255 to the whole levels of an 8-bit picture.

    It adds a thousandth more than one half: so DN 2800, which is level 25.5 up to rounding errors,
    is rounded in the same direction by all code that does this.
    """
    return np.clip(np.floor(values + np.float32(0.501)), 0, 255)
