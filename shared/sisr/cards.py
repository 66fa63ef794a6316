"""Networks that super-resolve across sensors: what `sisr-train` writes about one beside its ONNX.

    FOLDER/network.onnx      input (N, C, h, w) to output (N, C, f·h, f·w), float32 reflectance
    FOLDER/sisr.json         the card

Reading it needs the standard library only, and not the code that trained the network.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal, get_args

from shared.errors import StageError
from shared.names import is_name
from shared.reading import documents

ONNX = "network.onnx"
FILE = "sisr.json"
Mode = Literal["baseline", "geometric", "geometric+radiometric"]
MODES: tuple[str, ...] = get_args(Mode)
LARGEST = 4096  # pixels of a margin: more than any network here sees
COARSEST = 64  # pixels of a grid, likewise


@dataclasses.dataclass(frozen=True)
class Card:
    """One network.

    Attributes:
        bands: (C,) names, in the order of the channels that go in.
        made: (C,) names of the channels that come out.
        metres: size of a pixel that goes in; bands of coarser pixels are brought to it before.
        factor: output pixels along one input pixel.
        margin: output pixels at each side that what lies outside has an influence on, rounded up
            to a multiple of the factor.
        architecture: name of the network, such as "carn-3x3x64g4sw".
        mode: what was done to the images that it learned from.
        mtf: band to the modulation transfer at the Nyquist frequency of its own pixels, by which
            images were made coarser in training.
        mean: (C,) of reflectance over the training rows; the ONNX file subtracts it itself.
        std: (C,) deviation, likewise.
        grid: input pixels; what the network makes of a part of an image is a part of what it makes
            of the whole if the part begins at a multiple of them. 1 (also in cards without this
            entry): it may begin anywhere.
    """

    bands: tuple[str, ...]
    made: tuple[str, ...]
    metres: float
    factor: int
    margin: int
    architecture: str
    mode: str
    mtf: dict[str, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grid: int = 1


def write(folder: Path, card: Card) -> None:
    """Write the card of a folder, in one step: trainers write it last, so it marks their end."""
    draft = folder / (FILE + ".draft")
    draft.write_text(json.dumps(dataclasses.asdict(card), indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / FILE)


def read(folder: Path) -> Card:
    """Read and check the card of a folder.

    Args:
        folder: with `FILE` and `ONNX`.

    Raises:
        StageError: no or broken JSON; an entry is missing, unknown or not valid; no ONNX file.
    """
    path = folder / FILE
    try:
        content = documents.read_json(path)
        if not isinstance(content, dict):
            raise ValueError("expected an object")
        _check_names(content)
        card = Card(**{name: _settle(value) for name, value in content.items()})
        fault = _invalid_entry(card)
    except OSError:
        found = "none" if folder.is_dir() else "no folder"
        expected = f"expected a folder of sisr-train with {FILE}"
        where = path if folder.is_dir() else folder
        raise StageError(f"{where}: {expected}, found {found}") from None
    except ValueError as error:
        raise StageError(f"{path}: not a description of a network ({error})") from None
    if fault:
        raise StageError(f"{path}: not a description of a network ({fault})")
    if not (folder / ONNX).is_file():
        raise StageError(f"{folder / ONNX}: expected the network beside {FILE}, found no file")
    return card


def _check_names(content: dict[str, Any]) -> None:
    fields = dataclasses.fields(Card)
    if unknown := sorted(content.keys() - {field.name for field in fields}):
        raise ValueError(f"unknown entry {unknown[0]!r}")
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    if missing := sorted(needed - content.keys()):
        raise ValueError(f"no entry {missing[0]!r}")


def _settle(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _invalid_entry(card: Card) -> str:
    """The first entry that is not valid and what it holds, or ""."""
    whole = all(type(value) is int for value in (card.factor, card.margin))
    possible = {
        "bands": _are_names(card.bands),
        "made": _are_names(card.made),
        "metres": _is_number(card.metres) and card.metres > 0,
        "factor": whole and 1 <= card.factor <= 16,
        "margin": whole and 0 <= card.margin <= LARGEST and card.margin % max(card.factor, 1) == 0,
        "architecture": is_name(card.architecture),
        "mode": card.mode in MODES,
        "mtf": isinstance(card.mtf, dict)
        and all(is_name(name) and _is_share(value) for name, value in card.mtf.items()),
        "mean": _are_numbers(card.mean, card.bands),
        "std": _are_numbers(card.std, card.bands) and min(card.std) > 0,
        "grid": type(card.grid) is int and 1 <= card.grid <= COARSEST,
    }
    name = next((name for name, fine in possible.items() if not fine), "")
    return f"{name}: {getattr(card, name)!r}"[:200] if name else ""


def _are_names(value: Any) -> bool:
    names = isinstance(value, tuple) and bool(value) and all(map(is_name, value))
    return names and len(set(value)) == len(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 < value < 1


def _are_numbers(value: Any, bands: tuple[str, ...]) -> bool:
    """Whether there is one finite number for each band."""
    return isinstance(value, tuple) and len(value) == len(bands) and all(map(_is_number, value))
