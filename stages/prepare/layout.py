"""How the images of a source will be stored."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches, progress
from stages.prepare import checks
from stages.prepare.classes import Classes
from stages.prepare.images import Images

PLACES, RUN = 4, 64  # that decide about --dtype auto: so many runs of so many rows


def sen2_dtype(images: Images, chosen: NDArray[np.integer], dtype: str) -> str:
    """The storage of sen2; "auto" asks rows of the whole, so that all shards agree."""
    if dtype != "auto" or "sen2" not in images.names:
        return "uint16" if dtype == "auto" else dtype
    for rows in sample_rows(chosen):
        values = images.read("sen2", rows)
        usual = np.isfinite(values) & (values >= 0) & (values <= checks.REFLECTANCE[1])
        if not checks.is_lossless(np.where(usual, values, 0.0)).all():
            progress.say(f"{images.source.path}: sen2 is no multiple of 1e-4: kept as float32")
            return "float32"
    return "uint16"


def sample_rows(chosen: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Runs of rows in the order of the file, from its end to its beginning; all of a few rows.

    Runs, because a single row costs as much as all those whose chunks it shares; from the end, so
    that those are not taken for the beginning of reading all, but kept until it comes there.
    """
    ordered = np.sort(chosen)
    starts = np.linspace(0, max(0, len(ordered) - RUN), PLACES).astype(int)
    return [ordered[start : start + RUN] for start in np.unique(starts)[::-1]]


def fields(images: Images, known: Classes, dtype: str) -> dict[str, patches.Field]:
    """Label and images; sen2 as ``dtype``, sen1 in half the bits of float32 unless that is it."""
    fields = {"label": patches.Field((len(known.names),), "uint8")}
    for name in images.names:
        kind = dtype if name == "sen2" or dtype == "float32" else "float16"
        layout = replace(images.layout(name), per_unit=lcz.PRESETS[name].per_unit)
        fields[name] = patches.Field(images.source[name].shape[1:], kind, layout)
    return fields
