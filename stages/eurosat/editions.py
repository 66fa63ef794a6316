"""The two editions of EuroSAT: what their files are, and how they are stored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import lcz
from stages.eurosat import bands, pictures

# Pixels (S, S, C), and in a word or two what was changed to get them, such as "grey".
Pixels = tuple[NDArray[np.generic], list[str]]


@dataclass(frozen=True)
class Edition:
    """One edition.

    Attributes:
        title: what its pictures are.
        dataset: in a patch file.
        endings: of its files, in lower case.
        layout: bands and range.
        dtype: of the pixels.
        read: pixels of one file, of the side that is asked for, or of 64 without resizing.
    """

    title: str
    dataset: str
    endings: frozenset[str]
    layout: lcz.Layout
    dtype: str
    read: Callable[[Path, int | None], Pixels]


RGB = Edition(
    "RGB", "rgb", frozenset({".jpg", ".jpeg", ".png"}), lcz.RGB, "uint8", pictures.read_rgb
)
# The range of So2Sat, so that networks see both alike. Brighter pixels are kept: they scale to
# more than 255, and only eight-bit pictures cut them.
BANDS = Edition(
    "13 bands", "sen2", frozenset({".tif", ".tiff"}), replace(lcz.SEN2, bands=bands.ORDER),
    "uint16", bands.read_bands,
)  # fmt: skip
EDITIONS = (RGB, BANDS)
