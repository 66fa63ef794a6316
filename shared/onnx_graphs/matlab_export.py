"""Model folders that MATLAB exported: ONNX files beside one ``preprocessing.json``.

The thesis' exporter writes ``input.shape``, ``scaling``, ``zscore`` (``enabled``, ``mu``,
``sigma``) and ``labels``. It does not write which bands a network takes, so that ``bands`` has to
be added by hand: a list for all files, or an object from file name to list.
"""

from pathlib import Path
from typing import Any

from shared import lcz, models
from shared.clutter import without_clutter
from shared.errors import StageError
from shared.onnx_graphs.outputs import match_classes
from shared.reading import documents

NAME = "preprocessing.json"
KNOWN = (*lcz.SEN2.bands, *lcz.SEN1.bands)  # MATLAB's band 1 is the first of them


def read(folder: Path, classes: tuple[str, ...]) -> list[models.Card]:
    """Cards of all ONNX files of a folder, by name; classes in the order of the outputs.

    Args:
        folder: with ``preprocessing.json``. Of each entry the first one found counts:

            bands                             names or 1-based numbers: 1 … 10 sen2, 11 … 18 sen1
            zscore.mu, mean                   one a channel, or one for each of 10 or 18 bands
            zscore.sigma, std                 likewise; without any: 0 and the whole range
            scaling.optical.dst_range, range  what values were scaled to before: [0, 255]
            input.shape, size                 [1, C, S, S], [S, S] or S: 32
            interpolation                     nearest (as the thesis resized) or bilinear
            labels, classes                   names, or numbers 1 … K, in the order of the outputs
        classes: (K,) names of the data.

    Raises:
        StageError: says which entry is missing or cannot be.
    """
    path = folder / NAME
    try:
        content = documents.read_json(path)
        files = [file.name for file in without_clutter(folder.glob("*.onnx"))]
        cards = [_card(path, content, file, classes) for file in files]
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise StageError(f"{path}: not the description of a network ({error})") from None
    if not cards:
        raise StageError(f"{folder}: expected ONNX files beside {NAME}, found none")
    return cards


def _card(path: Path, content: Any, file: str, classes: tuple[str, ...]) -> models.Card:
    bands = _bands(path, content, file)
    mean, std = _statistics(path, content, bands)
    size = content.get("input", {}).get("shape", content.get("size", 32))
    interpolation = content.get("interpolation", "nearest")
    if interpolation not in ("nearest", "bilinear"):
        raise StageError(
            f"{path}: interpolation: expected nearest or bilinear, found {interpolation!r}"
        )
    names = match_classes(content.get("labels", content.get("classes", classes)), classes)
    if not names:
        raise StageError(f"{path}: labels: expected the {len(classes)} classes of the data")
    side = int(size[-1] if isinstance(size, list) else size)
    if not 0 < side <= models.LARGEST:
        raise StageError(f"{path}: size: expected 1 to {models.LARGEST}, found {side}")
    return models.Card(
        file, "onnx", bands, mean, std, size=side, interpolation=interpolation, classes=names
    )


def _bands(path: Path, content: Any, file: str) -> tuple[str, ...]:
    given = content.get("bands")
    given = given.get(file, given.get(Path(file).stem)) if isinstance(given, dict) else given
    if not given:
        raise StageError(
            f"{path}: bands of {file}: expected names or numbers 1 to {len(KNOWN)}, found none; "
            'add "bands": [4, 3, 2], or one list a file'
        )
    bands = tuple(_band(band) for band in given)
    if None in bands:
        raise StageError(
            f"{path}: bands of {file}: expected {', '.join(KNOWN)} or numbers 1 to {len(KNOWN)}, "
            f"found {given}"
        )
    return tuple(filter(None, bands))


def _band(given: Any) -> str | None:
    if isinstance(given, str) and given in KNOWN:
        return given
    number = int(given) if not isinstance(given, str) or given.isdigit() else 0
    return KNOWN[number - 1] if 1 <= number <= len(KNOWN) and number == float(given) else None


def _statistics(
    path: Path, content: Any, bands: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel on the 0 … 1 scale of a card."""
    score = content.get("zscore", {})
    low, high = (
        content.get("scaling", {})
        .get("optical", {})
        .get("dst_range", content.get("range", [0, 255]))
    )
    mean, std = score.get("mu", content.get("mean")), score.get("sigma", content.get("std"))
    if not score.get("enabled", True) or not mean or not std:  # values / 255, as its note says
        return (0.0,) * len(bands), (1.0,) * len(bands)
    places = [KNOWN.index(band) for band in bands]
    vectors = []
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != len(bands):
            if len(values) <= max(places) or len(values) not in (len(lcz.SEN2.bands), len(KNOWN)):
                raise StageError(
                    f"{path}: {name}: expected {len(bands)} values, or one for each of "
                    f"{len(lcz.SEN2.bands)} or {len(KNOWN)} bands, found {len(values)}"
                )
            values = [values[place] for place in places]
        vectors.append([float(value) for value in values])
    if not min(vectors[1]) > 0:
        raise StageError(f"{path}: std: expected above 0, found {vectors[1]}")
    scale = float(high) - float(low)
    if not scale > 0:
        raise StageError(f"{path}: range: expected two ascending numbers, found {low}, {high}")
    return (
        tuple((value - low) / scale for value in vectors[0]),
        tuple(value / scale for value in vectors[1]),
    )
