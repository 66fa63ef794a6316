"""Limits per band for the 256 levels of a picture: fitted to a training split, or as published.

Level 0 and level 255 are the ends of the scale of the patch file, 0 … 2.8 of reflectance, of which
most scenes use a tenth; with limits in the card of a network they are those of each band, and what
lies outside saturates. `preprocessing` applies them. A network's input stays the same but for the
rounding, because mean and standard deviation follow the limits.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.models.cards import Card
from shared.models.levels import read_runs, span_levels
from shared.models.preprocessing import locate_bands
from shared.patches import Source, read_marks

Range = Literal["published", "fitted"]
TAIL = 0.001  # share of the training pixels of a band beyond either end, before there is room
# Room for scenes darker and brighter than the training split, of the span between the tails:
# without it, a desert is white to a network of fields (make bench-range).
BELOW, ABOVE = 0.1, 0.5
DECIMALS = 3  # of mean and std, which every release of Voyager's SDK keeps
LEAST = 0.01  # span of a band, of the scale of its file
PIXELS, RUNS = 2**22, 256  # of each band are looked at: of runs of rows, evenly spread


def fit_range(card: Card, source: Source) -> Card:
    """The same network with limits per band, from the pixels of a training split.

    The limits lie TAIL from either end of the pixels, with room beyond, moved outwards so far that
    mean and standard deviation, which follow, have three decimals: no release of Voyager's SDK
    keeps fewer.
    Bands of one byte a pixel keep their scale: they have no levels to gain.

    Args:
        card: without limits.
        source: patch file; rows that it marks as validation are not looked at.

    Raises:
        StageError: values that are not finite or not in their unit.
    """
    places = locate_bands(source, card.bands)
    values = {name: _read_training(source, name) for name in _find_gaining(card, source)}
    fitted = [
        widen_limits(*add_room(*find_tails(values[name][..., channel])), mean, std)
        if name in values
        else (0.0, 1.0, mean, std)
        for (name, channel), mean, std in zip(places, card.mean, card.std, strict=True)
    ]
    if not values:
        return card
    low, high, mean, std = zip(*fitted, strict=True)
    decimals = DECIMALS if all(name in values for name, _ in places) else card.decimals
    return dataclasses.replace(card, low=low, high=high, mean=mean, std=std, decimals=decimals)


def _find_gaining(card: Card, source: Source) -> list[str]:
    """Datasets of the card's bands that have more than 256 values."""
    names = {name for name, _ in locate_bands(source, card.bands)}
    return sorted(name for name in names if source[name].dtype != np.uint8)


def _read_training(source: Source, name: str) -> NDArray[np.floating]:
    """(n, H, W, C) values 0 … 255 of rows that are spread over the file and not marked."""
    rows, marks = source[name], read_marks(source)
    assert rows.layout is not None
    values, numbers = read_runs(rows, PIXELS, RUNS)
    return rows.layout.scale(values if marks is None else values[~marks[numbers]])


def find_tails(values: NDArray[np.floating]) -> tuple[float, float]:
    """Values 0 … 255 of one band that TAIL of them lie below and above, of the scale 0 … 1."""
    low = np.quantile(values, TAIL, method="lower")
    high = np.quantile(values, 1 - TAIL, method="higher")
    return float(low) / 255, float(high) / 255


def add_room(low: float, high: float) -> tuple[float, float]:
    """Limits BELOW and ABOVE farther out, but not beyond the scale of the file, where they lie."""
    span = high - low
    return max(low - BELOW * span, min(low, 0.0)), min(high + ABOVE * span, max(high, 1.0))


def widen_limits(
    low: float, high: float, mean: float, std: float
) -> tuple[float, float, float, float]:
    """Limits around these, and mean and standard deviation between them as whole thousandths.

    Args:
        low: all four on the scale 0 … 1 of the file.
        high: above low; a span below LEAST becomes LEAST.
        mean: of the band.
        std: of the band, above 0.
    """
    span = 1.002 * max(high - low, LEAST)  # room for what rounding the mean moves
    new_std = max(math.floor(1000 * std / span), 1) / 1000
    span = std / new_std
    new_mean = math.ceil(1000 * (mean - low) / span) / 1000
    low = mean - new_mean * span
    return low, low + span, new_mean, new_std


def choose_range(card: Card, wanted: Range | None, source: Source, where: Path) -> Card:
    """The network with the range that the caller asks for, where its card leaves the choice.

    Args:
        card: of a network that is trained.
        wanted: None for what the card says.
        source: patch file of the training split, for the limits of a network from elsewhere.
        where: its folder, for messages.

    Raises:
        StageError: the network was trained with the other range.
    """
    if wanted is None or wanted == name_range(card):
        return card
    if wanted == "fitted" and not _find_gaining(card, source):
        return card  # as `fit_range` leaves it, also when a student is trained
    if wanted == "published" or card.eight_bit:
        raise StageError(
            f"{where}: --range: expected {name_range(card)}, with which this network was trained, "
            f"found {wanted}: leave it out, or train another one with distill --range {wanted}"
        )
    return fit_range(card, source)


def name_range(card: Card) -> Range:
    """Which of the two a card has."""
    return "fitted" if card.low else "published"


def name_limits(card: Card, source: Source) -> dict[str, tuple[float, float]]:
    """What level 0 and level 255 of each band stand for, in the unit of its dataset."""
    named = {}
    places = locate_bands(source, card.bands)
    for band, (name, _), limits in zip(card.bands, places, card.limits, strict=True):
        layout = source[name].layout
        assert layout is not None
        span = layout.high - layout.low
        named[band] = (layout.low + limits[0] * span, layout.low + limits[1] * span)
    return named


def count_levels(card: Card, source: Source) -> dict[str, int]:
    """How many levels of the card's range the middle of each band spans, as `span_levels`."""
    places, counted = locate_bands(source, card.bands), dict[str, int]()
    for name in dict.fromkeys(name for name, _ in places):
        of = [c for c, (dataset, _) in enumerate(places) if dataset == name]
        channels = [places[c][1] for c in of]
        spans = span_levels(source[name], channels, [card.limits[c] for c in of])
        counted |= {card.bands[c]: int(span) for c, span in zip(of, spans, strict=True)}
    return {band: counted[band] for band in card.bands}
