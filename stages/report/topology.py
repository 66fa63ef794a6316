"""Topological features: a few patches and their persistence images, and the mean of each class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import patches
from shared.errors import StageError
from shared.patches import attributes
from stages.report import datasets, pictures
from stages.report.inputs import IMAGES, Product, source_of

SHOWN = 5  # patches
AVERAGED = 40  # patches of a class whose features are averaged
BAND = "B8"  # near infrared, where there is one: buildings, plants and water are furthest apart


def variants(products: list[Product]) -> list[Product]:
    """One file of persistence images of each folder: that of the training split, if it says so."""
    files_by_folder: dict[str, Product] = {}
    files = [product for product in products if product.kind == "features" and _images(product)]
    for product in sorted(files, key=lambda file: "train" not in file.path.stem):
        files_by_folder.setdefault(str(product.path.parent), product)
    return sorted(files_by_folder.values(), key=lambda file: file.name)


def _images(product: Product) -> bool:
    """Whether the features are images, not curves or statistics."""
    with patches.read(product.path, "grid") as source:
        return source["grid"].attribute("kind") in (None, "image")


def describe(product: Product, products: list[Product]) -> dict[str, Any]:
    """What the page shows of one features file.

    Raises:
        StageError: features and grid do not fit together.
    """
    before = source_of(product, products)
    with patches.read(product.path, "grid") as source:
        stored = source["grid"].stored
        grid = source["grid"].raw(slice(None))
        bands = attributes.read_texts(stored, "bands")
        bins = int(attributes.read_number(stored, "bins"))
        sigma = attributes.read_number(stored, "sigma") if "sigma" in stored.attrs else 0.0
    with patches.read(product.path, "features") as source:
        width = source["features"].shape[-1]
        if grid.shape != (len(bands), 2, 2, 2) or width != len(bands) * 2 * bins * bins:
            raise StageError(f"{product.path}: {width} features do not fit its grid {grid.shape}")
        band = bands.index(BAND) if BAND in bands else len(bands) - 1
        shape = (-1, len(bands), 2, bins, bins)
        rows = datasets.few(source, SHOWN)
        images = datasets.values(source, "features", rows).reshape(shape)[:, band]
        return {
            "name": product.name,
            "rows": source.total,
            "width": width,
            "band": bands[band],
            "bands": len(bands),
            "bins": bins,
            "sigma": sigma,
            "axes": [[_span(grid[band, h, axis]) for axis in (0, 1)] for h in (0, 1)],
            "patches": _patches(source, before, rows, images, bands[band]),
            "classes": _classes(source, shape, band),
        }


def _span(ends: NDArray[np.floating]) -> str:
    return f"{ends[0]:.3g} … {ends[1]:.3g}"


def _patches(
    source: patches.Source,
    before: Product | None,
    rows: NDArray[np.intp],
    images: NDArray[np.floating],
    band: str,
) -> list[dict[str, Any]]:
    """The band of each patch, where its file is at hand, and its two persistence images."""
    labels = source.labels() if "label" in source else None
    grey = _band(before, rows, band) if before else [""] * len(rows)
    tops = _tops(images)
    return [
        {
            "title": datasets.title(source.classes[labels[row]]) if labels is not None else "",
            "row": row,
            "band": grey[i],
            "images": [pictures.uri(pictures.colour(images[i, h], tops[h])) for h in (0, 1)],
        }
        for i, row in enumerate(rows.tolist())
    ]


def _tops(images: NDArray[np.floating]) -> NDArray[np.floating]:
    """(2,) brightest value shown per dimension of (N, 2, bins, bins); a few cells stand out."""
    tops: NDArray[np.floating] = np.percentile(images, 99.5, (0, 2, 3))
    return tops


def _band(before: Product, rows: NDArray[np.intp], band: str) -> list[str]:
    with patches.read(before.path) as source:
        for name in IMAGES:
            layout = source[name].layout if name in source else None
            if layout and band in layout.bands:
                index = layout.bands.index(band)
                values = datasets.values(source, name, rows)[..., [index, index, index]]
                painted = pictures.stretch(values, pictures.limits(values))
                return [pictures.uri(picture) for picture in painted]
    return [""] * len(rows)


def _classes(source: patches.Source, shape: tuple[int, ...], band: int) -> list[dict[str, Any]]:
    """Mean persistence images of each class, all on one colour scale per dimension."""
    if "label" not in source:
        return []
    groups = datasets.pick(source, AVERAGED)
    means = [
        datasets.values(source, "features", rows).reshape(shape)[:, band].mean(0)
        for rows in groups
        if len(rows)
    ]
    tops = _tops(np.stack(means))
    named = [
        key for key, rows in zip(datasets.keys(source.classes), groups, strict=True) if len(rows)
    ]
    return [
        key | {"images": [pictures.uri(pictures.colour(mean[h], tops[h])) for h in (0, 1)]}
        for key, mean in zip(named, means, strict=True)
    ]  # fmt: skip
