"""Models that stages exchange: ONNX files and one JSON file that describes the input of each.

    FOLDER/model.json        {"members": [{"file": "member-01.onnx", "bands": […], …}, …]}

A single network is an ensemble of one. Reading a model does not need the code that trained it.
"""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any, Literal, get_args

from shared.errors import StageError
from shared.names import is_name
from shared.reading import documents

MODEL_FILE = "model.json"
LARGEST = 4096  # pixels per side: beyond what any network here takes, and what memory holds
Task = Literal["classification", "segmentation"]


@dataclasses.dataclass(frozen=True)
class Card:
    """One network: a picture (N, C, size, size) float32 in, `logits` (N, K) out.

    The first ONNX input is the picture: `input` of a student, `image` of teachers and fusion, where
    `tda` (N, F) is the second. A segmentation network takes `image` (N, C, H, W) of any height and
    width and gives `logits` (N, K, H, W), a class for each pixel.

    Attributes:
        file: ONNX file in the same folder.
        architecture: name of the network, such as "resnet18".
        bands: one name per channel, in order, of any image dataset of a patch file.
        mean: (C,) subtracted from values / 255, values being scaled to 0 … 255: by the patch file,
            and from there by low and high.
        std: (C,) divided by after that.
        size: pixels per side at the input; of a segmentation network, those it was trained on.
        interpolation: "bilinear" or "nearest" from patch size to input size.
        classes: (K,) names.
        features: F of the second input `tda` (N, F), 0 when there is none.
        eight_bit: whether values are rounded to whole levels before and after the resize, as the
            8-bit pictures that the SDK enlarges.
        decimals: of mean and std, to which they were rounded before training: 3, or 6, which
            Voyager's streaming pipeline keeps from SDK 1.6 on.
        low: (C,) value / 255 that becomes level 0, before mean and std; () without limits.
        high: (C,) value / 255 that becomes level 255; whole levels saturate outside.
        task: whether it gives a class for each picture or for each pixel.
        colours: (K,) "#rrggbb" in which maps show the classes; () lets the map choose.
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
    decimals: int = 3
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    task: Task = "classification"
    colours: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[tuple[float, float], ...]:
        """(C,) low and high of each band; 0 and 1 without limits."""
        ends = (
            (self.low, self.high)
            if self.low
            else ((0.0,) * len(self.bands), (1.0,) * len(self.bands))
        )
        return tuple(zip(*ends, strict=True))


def save(folder: Path, cards: list[Card], **more: Any) -> None:
    """Write model.json of a folder; ``more`` is stored next to "members" unchanged.

    The file appears in one step: trainers write it last, so it marks the end of their work.
    """
    content = {"members": [_describe(card) for card in cards], **more}
    draft = folder / (MODEL_FILE + ".draft")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(folder / MODEL_FILE)


def _describe(card: Card) -> dict[str, Any]:
    """Entries of a card; limits and colours only where there are some, a task other than usual."""
    entries = dataclasses.asdict(card)
    usual = {"low": (), "high": (), "task": "classification", "colours": ()}
    return {k: v for k, v in entries.items() if k not in usual or v != usual[k]}


def load(folder: Path, task: Task | None = "classification") -> list[Card]:
    """Cards of a model folder.

    Args:
        folder: with model.json and ONNX files.
        task: what the networks have to be for; None takes those of any task.

    Raises:
        StageError: no or broken JSON, a key is missing, an ONNX file is missing; another task.
    """
    path = folder / MODEL_FILE
    try:
        members = documents.read_json(path)["members"]
        cards = [_read_card(member) for member in members]
        faults = [_invalid_entry(card) for card in cards] or ["no members"]
    except OSError:
        what = "none" if folder.is_dir() else "a file"
        expected = f"expected a model folder with {MODEL_FILE}"
        raise StageError(
            f"{path if folder.is_dir() else folder}: {expected}, found {what}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"{path}: not a model description ({error})") from None
    if any(faults):
        raise StageError(f"{path}: not a model description ({', '.join(filter(None, faults))})")
    for card in cards:
        if Path(card.file).name != card.file:  # elsewhere its content would be in no plan
            raise StageError(f"{path}: expected ONNX files beside it, found {card.file!r}")
        if not (folder / card.file).is_file():
            raise StageError(
                f"{folder / card.file}: expected the network that {MODEL_FILE} names, found no file"
            )
        if task not in (None, card.task):
            raise StageError(f"{path}: expected a network for {task}, found one for {card.task}")
    return cards


def _read_card(member: dict[str, Any]) -> Card:
    """One entry of the file; ValueError for a name that no card has."""
    if unknown := member.keys() - {field.name for field in dataclasses.fields(Card)}:
        raise ValueError(f"unknown entry {sorted(unknown)[0]!r}")
    return Card(**{name: _tuple(value) for name, value in member.items()})


def _invalid_entry(card: Card) -> str:
    """Name of the first entry that is not valid, or ""."""
    ordered = zip(card.low, card.high, strict=False)
    possible = {
        "file": is_name(card.file),
        "architecture": is_name(card.architecture),
        "bands": _are_names(card.bands),
        "classes": _are_names(card.classes),
        "mean": _are_numbers(card.mean, len(card.bands)),
        "std": _are_numbers(card.std, len(card.bands)) and min(card.std) > 0,
        "low": not card.low or _are_numbers(card.low, len(card.bands)),
        "high": _are_numbers(card.high, len(card.low)) and all(low < high for low, high in ordered),
        "size": type(card.size) is int and 0 < card.size <= LARGEST,
        "interpolation": card.interpolation in ("bilinear", "nearest"),
        "features": type(card.features) is int and card.features >= 0,
        "decimals": type(card.decimals) is int and card.decimals >= 1,
        "task": card.task in get_args(Task),
        "colours": not card.colours or _are_colours(card.colours, len(card.classes)),
    }
    return next((name for name, fine in possible.items() if not fine), "")


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(is_name, value))


def _are_numbers(values: tuple[Any, ...], count: int) -> bool:
    kinds = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return len(values) == count and kinds and all(map(math.isfinite, values))


def _are_colours(values: tuple[Any, ...], count: int) -> bool:
    kinds = all(isinstance(v, str) and re.fullmatch("#[0-9a-f]{6}", v) for v in values)
    return len(values) == count and kinds


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
