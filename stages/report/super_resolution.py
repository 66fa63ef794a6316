"""Super-resolution: the same patches before and after, with cubic interpolation between them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.errors import StageError
from shared.reading import documents
from stages.report import datasets, pictures
from stages.report.inputs import Product, source_of

SHOWN = 6  # patches
MEASURED = 64  # patches that the figures are computed from
LARGEST = 100_000_000  # bytes of JSON that a weights file may begin with


def find_pairs(products: list[Product]) -> list[tuple[Product, Product]]:
    """Each super-resolved file with its source: one split of each variant, no shards."""
    pairs: dict[str, tuple[Product, Product]] = {}
    for product in products:
        before = source_of(product, products) if product.kind == "patches" else None
        whole = product.parameters.get("shard", "1/1") == "1/1"
        degraded = before is not None and before.stage == "sr-degrade"  # for the comparison only
        shown = product.stage.startswith("sr-") and product.stage != "sr-degrade"
        if before and whole and shown and not degraded:
            pairs.setdefault(str(product.path.parent), (before, product))
    return list(pairs.values())


def describe(before: Product, after: Product) -> dict[str, Any]:
    """Pictures and figures of one pair.

    Raises:
        StageError: the sizes of the two files do not fit.
    """
    with patches.read(before.path, "sen2") as low, patches.read(after.path, "sen2") as high:
        total, height, width, bands = low["sen2"].shape
        scale = high["sen2"].shape[1] // height
        if high["sen2"].shape != (total, height * scale, width * scale, bands):
            expected = f"{low['sen2'].shape} times a whole number"
            raise StageError(f"{after.path}: expected {expected}, found {high['sen2'].shape}")
        rows = datasets.space_rows(np.arange(total), MEASURED)
        small, large = (datasets.values(file, "sen2", rows) for file in (low, high))
        cubic = pictures.enlarge(small, scale)
        layout = low["sen2"].layout
        assert layout is not None
        return {
            "name": after.name,
            "source": before.name,
            "scale": scale,
            "rows": len(rows),
            "figures": figures(small, {"cubic": cubic, after.stage: large}, layout.bands, scale),
            "method": after.stage,
            "strips": strips(low, high, scale),
        }


def figures(
    small: NDArray[np.floating],
    large: dict[str, NDArray[np.floating]],
    bands: tuple[str, ...],
    scale: int,
) -> list[dict[str, Any]]:
    """Per band and for the whole, for each method.

    Consistency: root mean square of (enlarged, then block means) minus the input. Detail: mean
    absolute step between neighbouring pixels, relative to the cubic one. Departure: root mean
    square difference from the cubic one. All but detail in reflectance.
    """
    cubic, lines = large["cubic"], []
    choices = {band: [index] for index, band in enumerate(bands)} | {"all": list(range(len(bands)))}
    for band, chosen in choices.items():
        line: dict[str, Any] = {"band": band}
        base = cubic[..., chosen]
        for name, values in large.items():
            part = values[..., chosen]
            line[name] = {
                "consistency": _rms(pictures.shrink(part, scale) - small[..., chosen]),
                "detail": _steps(part) / max(_steps(base), 1e-12),
                "departure": _rms(part - base),
            }
        lines.append(line)
    return lines


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def _steps(values: NDArray[np.floating]) -> float:
    return float(np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=2)).mean())


def strips(low: patches.Source, high: patches.Source, scale: int) -> list[dict[str, str]]:
    """Input, cubic and network side by side for a few patches of different classes."""
    colour_bands = datasets.true_colour(low)
    if colour_bands is None:
        return []
    name, channels = colour_bands
    rows = datasets.few(low, SHOWN)
    small, large = (datasets.values(file, name, rows)[..., channels] for file in (low, high))
    cubic, ends = pictures.enlarge(small, scale), pictures.limits(small)
    labels = low.labels() if "label" in low else None
    return [
        {
            "title": datasets.title(low.classes[labels[row]]) if labels is not None else "",
            "row": str(row),
            "before": pictures.uri(pictures.stretch(small[i], ends)),
            "cubic": pictures.uri(pictures.stretch(cubic[i], ends)),
            "after": pictures.uri(pictures.stretch(large[i], ends)),
        }
        for i, row in enumerate(rows.tolist())
    ]


def weights(product: Product) -> dict[str, Any]:
    """What a weights file says of itself: JSON texts in the metadata of its header.

    Raises:
        StageError: not a safetensors file.
    """
    facts: dict[str, Any] = {}
    for text in header(product.path).values():
        try:
            content = documents.parse_json(text)
        except ValueError:
            continue
        facts |= content if isinstance(content, dict) else {}
    return {"name": product.name, "facts": facts}


def header(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, LARGEST))
    try:
        return dict(documents.parse_json(text).get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError):
        raise StageError(f"{path}: expected a safetensors file, its header is not JSON") from None
