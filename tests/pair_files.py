"""Small pair files for tests, of random pixels."""

from pathlib import Path
from typing import Any

import numpy as np

from shared import patches, sisr


def form(side: int = 4) -> sisr.Form:
    """Two bands of 10 m and of 5 m."""
    bands = ("B2", "B8")
    return sisr.Form(side, {"low": sisr.Bands(bands, 10.0), "high": sisr.Bands(bands, 5.0)})


def write(path: Path, shape: sisr.Form | None = None, **given: Any) -> dict[str, Any]:
    """Six rows of three sites: two for training, two for validation, one for testing, one left out.

    Args:
        path: file to write.
        shape: of its images.
        given: arrays that take the place of those: images as they are stored, `split`, `flow` …

    Returns:
        what is in it.
    """
    shape, rows = shape or form(), 6
    rng = np.random.default_rng(1)
    images = {n: rng.integers(0, 9000, (rows, *shape.shape(n)), np.int16) for n in shape.bands}
    images |= {name: array for name, array in given.items() if name in shape.bands}
    fields: dict[str, Any] = {**sisr.fields(shape)}
    moments = {
        f"{name}_moments": np.stack([sisr.sum_values(image) for image in array])
        for name, array in images.items()
    }
    values: dict[str, Any] = {
        **{name: np.zeros((rows, *field.shape), np.float32) for name, field in fields.items()},
        **images,
        **moments,
        "correlation": np.linspace(0.1, 0.6, rows, dtype=np.float32),
        "date": np.full(rows, 20200615, np.int32),
        "site": np.arange(rows, dtype=np.int32) % 3,
        "split": np.array([0, 1, 2, 0, 1, 3], np.uint8),
        **given,
    }
    values = {name: values[name] for name in fields}
    names = ("a", "b", "ç")
    with patches.Writer(path, rows, constants=sisr.constants(shape, names), **fields) as sink:
        for block in sink.todo(4):
            sink.put(block, **{name: array[block] for name, array in values.items()})
    return values
