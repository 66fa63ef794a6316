"""Arrays to pictures that lie in the page itself."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import image as images
from numpy.typing import NDArray

from shared.errors import StageError

Pixels = NDArray[np.uint8]
GAMMA = 0.75


def uri(picture: Pixels) -> str:
    """(H, W, 3) or (H, W, 4) to a PNG as a data URI; the same pixels give the same text."""
    file = io.BytesIO()
    images.imsave(file, picture, format="png", metadata={"Software": None})
    return _uri(file.getvalue())


def file_uri(path: Path) -> str:
    """A PNG file as a data URI; StageError when it is not one."""
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise StageError(f"{path}: expected a PNG picture")
    return _uri(content)


def _uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def limits(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """(2, C) dark and bright end per channel of (…, C): the 1st and 99th percentile."""
    ends: NDArray[np.floating] = np.percentile(values.reshape(-1, values.shape[-1]), (1, 99), 0)
    return ends


def stretch(values: NDArray[np.floating], ends: NDArray[np.floating]) -> Pixels:
    """(…, C) between the ends of `limits` to 0 … 255, dark parts (trees, water) lifted a little."""
    share = ((values - ends[0]) / np.maximum(ends[1] - ends[0], 1e-9)).clip(0, 1)
    return (255 * share**GAMMA).round().astype(np.uint8)


def colour(values: NDArray[np.floating], top: float, colours: str = "magma") -> Pixels:
    """(H, W) from 0 to ``top`` to (H, W, 4), square-root scaled: most cells are nearly empty."""
    share = np.sqrt((values / max(top, 1e-9)).clip(0, 1))
    painted: Pixels = matplotlib.colormaps[colours](share, bytes=True)
    return painted


def strip(pictures: Sequence[Pixels], gap: int = 1) -> Pixels:
    """Pictures of one height in a row, transparent between them."""
    opaque = [np.dstack([p[..., :3], np.full(p.shape[:2], 255, np.uint8)]) for p in pictures]
    space = np.zeros((opaque[0].shape[0], gap, 4), np.uint8)
    parts = [part for picture in opaque for part in (picture, space)]
    return np.concatenate(parts[:-1], 1)


def enlarge(values: NDArray[np.floating], scale: int) -> NDArray[np.floating]:
    """(N, H, W, C) to (N, H * scale, W * scale, C) by cubic convolution (Keys 1981, a = -0.5)."""
    for axis in (1, 2):
        matrix = _cubic(values.shape[axis], scale)
        values = np.moveaxis(np.tensordot(values, matrix, (axis, 1)), -1, axis)
    return values


def _cubic(length: int, scale: int) -> NDArray[np.float64]:
    """(length * scale, length) weights, half-pixel centres, edges repeated."""
    centres = (np.arange(length * scale) + 0.5) / scale - 0.5
    matrix = np.zeros((length * scale, length))
    for offset in range(-1, 3):
        place = np.floor(centres).astype(int) + offset
        x = np.abs(centres - place)
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        weight = np.where(x <= 1, near, np.where(x < 2, far, 0))
        np.add.at(matrix, (np.arange(len(place)), place.clip(0, length - 1)), weight)
    return matrix


def shrink(values: NDArray[np.floating], scale: int) -> NDArray[np.floating]:
    """(N, H, W, C) to (N, H / scale, W / scale, C): the mean of each block of pixels."""
    n, height, width, bands = values.shape
    blocks = values.reshape(n, height // scale, scale, width // scale, scale, bands)
    mean: NDArray[np.floating] = blocks.mean((2, 4))
    return mean
