"""From a file to red, green and blue: the one loader of all stages. Needs Pillow, when called."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import StageError

# Formats by their content; others would start programs (EPS) or have no use here.
FORMATS = ("PNG", "JPEG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "GIF")
# Pillow's names of what becomes 8-bit RGB without a choice: black and white, grey, palette, colour,
# with and without transparency, and the colours of print.
MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK"}
MOST_PIXELS = 178_956_970  # at which Pillow, too, takes a file for an attack on memory
BITS_PER_SAMPLE = 258  # tag of TIFF


@dataclass(frozen=True)
class Picture:
    """A picture, and what its file says of it.

    Attributes:
        pixels: (H, W, 3) red, green, blue from 0 to 255.
        mode: Pillow's name of the kind of pixels in the file, such as "RGB", "L" or "P".
        seen_through: whether a pixel is not fully opaque.
    """

    pixels: NDArray[np.uint8]
    mode: str
    seen_through: bool


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) red, green, blue from 0 to 255.

    Grey gives three equal channels, a palette its colours, and transparency is left out, as
    torchvision's loader does. Profiles and the turn that a camera notes are not applied.

    Args:
        path: PNG, JPEG, PPM, PGM, BMP, TIFF, WebP or GIF by its content.

    Raises:
        StageError: no picture, cut short, several in one file, more than 8 bits a channel, too
            large to be decoded, another kind.
    """
    return load_picture(path).pixels


def load_picture(path: Path, check_size: Callable[[int, int], None] | None = None) -> Picture:
    """The same as `read_picture`, with what is lost on the way to red, green and blue.

    Args:
        path: as there.
        check_size: called with width and height before pixels are decoded; what it raises is
            raised here.

    Raises:
        StageError: as there.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size and metadata: what matters is checked
            with Image.open(path, formats=FORMATS) as image:
                _check(path, image, check_size)
                pixels = np.asarray(image.convert("RGB"))
                return Picture(pixels, image.mode, _is_seen_through(image))
    except (StageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise StageError(f"{path}: {_too_large('more')}") from None
    except Exception as error:  # Pillow has no common class for what is wrong with a file
        raise StageError(f"{path}: not a readable picture, or cut short{_reason(error)}") from None


def _is_seen_through(image: Any) -> bool:
    """Whether a pixel is not fully opaque, by an alpha channel or a colour that counts as clear."""
    return image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255


def _check(path: Path, image: Any, check_size: Callable[[int, int], None] | None) -> None:
    """Refuse by the header alone, before pixels take memory."""
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise StageError(f"{path}: {_too_large(f'{pixels:,}')}")
    if check_size:
        check_size(image.width, image.height)
    if (bits := _depth(image)) > 8:
        raise StageError(
            f"{path}: expected 8 bits a channel, found {bits}: the file does not say which value "
            "is white; scale it to 8 bits as the pictures of the training were"
        )
    if image.mode not in MODES:
        raise StageError(f"{path}: expected grey, palette or RGB, found {image.mode}")
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: with previews
    if frames > 1:
        raise StageError(f"{path}: expected one picture, found {frames} in one file")


def _too_large(pixels: str) -> str:
    return f"expected at most {MOST_PIXELS:,} pixels, found {pixels}; cut it into smaller pictures"


def _depth(image: Any) -> int:
    """Bits a channel as stored: Pillow shows some 16-bit pictures as 8-bit ones."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (8,)))
    stored = " ".join(str(tile[3]) for tile in image.tile)  # "RGB;16B", or ('RGB', 65535) of PPM
    if ";16" in stored or ";16" in image.mode:
        return 16
    largest = [a for tile in image.tile if isinstance(tile[3], tuple) for a in tile[3]]
    if image.format == "PPM" and any(isinstance(a, int) and a > 255 for a in largest):
        return 16
    return 32 if image.mode in ("I", "F") else 8


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return ""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f" ({text})"
