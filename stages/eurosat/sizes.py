"""The size of pictures: 64 x 64, or whatever is square where another size is asked for. Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError

SIDE = 64  # pixels of EuroSAT's pictures


def check_size(path: Path, wide: int, high: int, size: int | None) -> None:
    """Refuse a picture that may not be resized, or not without harm.

    Raises:
        StageError: not 64 x 64 where no size was asked for; not square where one was.
    """
    if size is None and (wide, high) != (SIDE, SIDE):
        cure = f"--size {SIDE} resizes such pictures to {SIDE}x{SIDE}"
        raise StageError(f"{path}: expected {SIDE}x{SIDE} pixels, found {wide}x{high}; {cure}")
    if wide != high:
        expected = "expected a square picture, which --size does not distort"
        raise StageError(f"{path}: {expected}, found {wide}x{high}; cut it to a square")


def resize(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16 to (size, size, C), bilinear; shrinking averages what it covers."""
    from PIL import Image

    planes = [
        Image.fromarray(pixels[..., k].astype(np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        for k in range(pixels.shape[-1])
    ]
    return np.rint(np.stack([np.asarray(plane) for plane in planes], -1)).astype(pixels.dtype)
