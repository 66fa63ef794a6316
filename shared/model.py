"""Models as they cross stage boundaries: ONNX files beside one JSON that says what each one eats.

    FOLDER/model.json        {"members": [{"file": "member-01.onnx", "bands": […], …}, …]}

A single network is an ensemble of one. Nobody who reads a model needs the code that trained it.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.source import Source

NAME = "model.json"


@dataclasses.dataclass(frozen=True)
class Card:
    """One network: a picture (N, C, size, size) float32 in, `logits` (N, K) out.

    The first ONNX input is the picture: `input` of a student, `image` of teachers and fusion, where
    `tda` (N, F) is the second.

    Attributes:
        file: ONNX file in the same folder.
        architecture: name of the network, such as "resnet18".
        bands: one name per channel, in order, of any image dataset of a patch file.
        mean: (C,) subtracted from values / 255, values being scaled to 0 … 255.
        std: (C,) divided by after that.
        size: pixels per side at the input.
        interpolation: "bilinear" or "nearest" from patch size to input size.
        classes: (K,) names.
        features: F of the second input `tda` (N, F), 0 when there is none.
        eight_bit: whether values are rounded to whole levels before and after the resize, as the
            8-bit pictures that the SDK enlarges.
    """

    file: str
    architecture: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int
    interpolation: str
    classes: tuple[str, ...]
    features: int = 0
    eight_bit: bool = False


def save(folder: Path, cards: list[Card], **more: Any) -> None:
    """Write the JSON of a folder of models; ``more`` is kept beside "members" as it is.

    In one step: trainers write it last and take its presence for the end of their work.
    """
    content = {"members": [dataclasses.asdict(card) for card in cards], **more}
    draft = folder / (NAME + ".draft")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(folder / NAME)


def load(folder: Path) -> list[Card]:
    """Cards of a model folder.

    Raises:
        StageError: no or broken JSON, a key is missing, an ONNX file is not there.
    """
    path = folder / NAME
    try:
        members = json.loads(path.read_text())["members"]
        cards = [Card(**{k: _tuple(v) for k, v in member.items()}) for member in members]
        faults = [_fault(card) for card in cards] or ["no members"]
    except OSError:
        raise StageError(f"{path}: expected a model folder with {NAME}, found none") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"{path}: not a model description ({error})") from None
    if any(faults):
        raise StageError(f"{path}: not a model description ({', '.join(filter(None, faults))})")
    for card in cards:
        if not (folder / card.file).is_file():
            raise StageError(f"{folder / card.file}: named in {NAME}, but not there")
    return cards


def _fault(card: Card) -> str:
    """Name of the first entry that cannot be, or nothing."""
    numbers = [isinstance(v, (int, float)) and math.isfinite(v) for v in (*card.mean, *card.std)]
    possible = {
        "bands": isinstance(card.bands, tuple) and bool(card.bands),
        "classes": isinstance(card.classes, tuple) and bool(card.classes),
        "mean": len(card.mean) == len(card.bands) and all(numbers),
        "std": len(card.std) == len(card.bands) and all(value > 0 for value in card.std),
        "size": isinstance(card.size, int) and card.size > 0,
        "interpolation": card.interpolation in ("bilinear", "nearest"),
        "features": isinstance(card.features, int) and card.features >= 0,
    }
    return next((name for name, fine in possible.items() if not fine), "")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def locate(source: Source, bands: tuple[str, ...]) -> list[tuple[str, int]]:
    """Dataset name and channel index of each band in a patch file.

    Raises:
        StageError: a band is in no dataset of the file.
    """
    places: dict[str, tuple[str, int]] = {}
    for name in ("sen1", "sen2", "rgb"):
        if name in source and (layout := source[name].layout):
            places |= {band: (name, index) for index, band in enumerate(layout.bands)}
    for band in bands:
        if band not in places:
            raise StageError(f"{source.path}: no band {band!r}, found {list(places)}")
    return [places[band] for band in bands]


def scaled(source: Source, bands: tuple[str, ...], rows: slice) -> NDArray[np.float32]:
    """(rows, H, W, C) values of the named bands scaled to 0 … 255."""
    places = locate(source, bands)
    read = {name: _scale(source, name, rows) for name in {name for name, _ in places}}
    return np.stack([read[name][..., index] for name, index in places], -1)


def _scale(source: Source, name: str, rows: slice) -> NDArray[np.float32]:
    layout = source[name].layout
    assert layout is not None
    return layout.scale(source[name][rows]).astype(np.float32)


def statistics(
    source: Source, bands: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per band on the 0 … 1 scale of `Card`, at most 3 decimals.

    Three decimals because Voyager's streaming pipeline prints them so: what is trained also runs.
    """
    mean, std = [], []
    for name, index in locate(source, bands):
        means, stds = source.statistics(name)
        mean.append(round(float(means[index]) / 255, 3))
        std.append(max(round(float(stds[index]) / 255, 3), 0.001))
    return tuple(mean), tuple(std)


def prepare(values: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """(N, H, W, C) values 0 … 255 to the network's (N, C, size, size) float32 input."""
    mean, std = (np.asarray(of, np.float32)[:, None, None] for of in (card.mean, card.std))
    images = np.moveaxis(values, -1, 1)
    if card.eight_bit:
        images = levels(resize(levels(images), card.size, card.size, card.interpolation))
        return np.ascontiguousarray((images / np.float32(255) - mean) / std, np.float32)
    normal = (images / np.float32(255) - mean) / std
    return resize(normal, card.size, card.size, card.interpolation)


def levels(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values 0 … 255 to the whole levels of an 8-bit picture.

    A thousandth above one half, so that DN 2800, which is level 25.5 but for rounding errors, goes
    the same way in every place that does this.
    """
    return np.clip(np.floor(values + np.float32(0.501)), 0, 255)


def resize(
    images: NDArray[np.float32], height: int, width: int, interpolation: str
) -> NDArray[np.float32]:
    """(…, H, W) to (…, height, width): half-pixel centres, no antialias, "bilinear" or "nearest".

    Equals ``torch.nn.functional.interpolate(align_corners=False)`` and OpenCV to rounding. Element
    by element, because a matrix product rounds differently from one processor to the next.
    """
    for axis, target in ((-2, height), (-1, width)):
        left, right, part = _taps(images.shape[axis], target, interpolation)
        part = part[:, None] if axis == -2 else part
        images = images.take(left, axis) * (1 - part) + images.take(right, axis) * part
    return np.ascontiguousarray(images, np.float32)


def _taps(
    source: int, target: int, interpolation: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """(target,) source pixels left and right of each target pixel, and the share of the right."""
    if interpolation == "nearest":  # in single precision as torch: 41 * (32 / 82) is below 16
        taken = np.arange(target, dtype=np.float32) * (np.float32(source) / np.float32(target))
        nearest = np.minimum(taken.astype(np.intp), source - 1)
        return nearest, nearest, np.zeros(target, np.float32)
    centres = (np.arange(target) + 0.5) * source / target
    place = np.clip(centres - 0.5, 0, source - 1)
    left = np.minimum(place.astype(np.intp), source - 1)
    return left, np.minimum(left + 1, source - 1), (place - left).astype(np.float32)
