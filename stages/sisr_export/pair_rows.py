"""Real rows for the checks: images of a pair file, as the client would read their land."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import sisr
from shared.errors import StageError
from shared.sisr_client import Description


def read(path: Path, told: Description, split: str, count: int) -> list[NDArray[np.float32]]:
    """At most so many images of a split, evenly spread.

    Args:
        path: pair file.
        told: bands, which are found by name, and the size of pixels.
        split: whose rows.
        count: how many at most.

    Returns:
        (C, h, w) digital numbers each; bands of coarser pixels are enlarged by a cubic.

    Raises:
        StageError: other pixels, a band is missing, or the split has no rows.
    """
    with sisr.Pairs(path) as pairs:
        rows = pairs.rows(split)
        if not len(rows):
            raise StageError(f"{path}: expected {split} rows, found none; --split names others")
        low = pairs.form.bands["low"]
        if low.metres != told.metres:
            expected = f"expected low of {told.metres} m, which {told.path.name} reads"
            raise StageError(f"{path}: {expected}, found {low.metres:g} m")
        names = [name for part in _parts(pairs) for name in pairs.form.bands[part].names]
        if missing := [band for band in told.bands if band not in names]:
            shown = ", ".join(missing)
            raise StageError(f"{path}: expected bands {shown} in low or coarse, found {names}")
        order = [names.index(band) for band in told.bands]
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]
        return [image[order] for image in _read_images(pairs, chosen)]


def _parts(pairs: sisr.Pairs) -> list[str]:
    return [name for name in ("low", "coarse") if name in pairs.form.bands]


def _read_images(pairs: sisr.Pairs, rows: NDArray[np.intp]) -> Iterator[NDArray[np.float32]]:
    for row in rows:
        images = []
        for part in _parts(pairs):
            image = pairs.source[part].raw(slice(int(row), int(row) + 1))[0]
            factor = round(pairs.form.bands[part].metres / pairs.form.bands["low"].metres)
            images.append(sisr.enlarge(image, factor) if factor > 1 else image.astype(np.float64))
        whole = np.concatenate(images, 2).transpose(2, 0, 1)
        yield np.ascontiguousarray(whole, np.float32)
