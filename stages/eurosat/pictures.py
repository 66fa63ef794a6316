"""One picture of the RGB edition. Needs Pillow, when called."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError
from shared.pictures import load_picture
from stages.eurosat import sizes

# Pillow's names of the kinds of pixels whose colours are plain, and what the log calls them.
KINDS = {"RGB": "", "1": "black and white", "L": "grey", "LA": "grey", "P": "palette",
         "PA": "palette", "RGBA": "opaque RGBA"}  # fmt: skip


def read_rgb(path: Path, size: int | None) -> tuple[NDArray[np.uint8], list[str]]:
    """(S, S, 3) red, green and blue from 0 to 255, and what was changed to get them.

    Args:
        path: JPEG or PNG.
        size: S; None takes only pictures of 64 x 64.

    Raises:
        StageError: not a readable picture; another size; transparency; colours of print; more
            than 8 bits a channel.
    """
    picture = load_picture(path, lambda wide, high: sizes.check_size(path, wide, high, size))
    if picture.mode not in KINDS:
        raise StageError(f"{path}: expected RGB, grey or a palette, found {picture.mode}")
    if picture.seen_through:
        found = f"found {picture.mode} with transparent pixels"
        raise StageError(f"{path}: expected opaque pixels, {found}, which have no colour")
    pixels, changes = picture.pixels, [KINDS[picture.mode]] if KINDS[picture.mode] else []
    if size is not None and len(pixels) != size:
        pixels, changes = sizes.resize(pixels, size), [*changes, "resized"]
    return pixels, changes
