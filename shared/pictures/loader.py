"""From a file to red, green and blue: the one loader of all stages. Needs Pillow, when called."""

import warnings
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


def read_picture(
    path: Path, size: tuple[int, int] | None = None, mode: str = ""
) -> NDArray[np.uint8]:
    """(H, W, 3) red, green, blue from 0 to 255.

    Grey gives three equal channels, a palette its colours, and transparency is left out, as
    torchvision's loader does. Profiles and the turn that a camera notes are not applied.

    Args:
        path: PNG, JPEG, PPM, PGM, BMP, TIFF, WebP or GIF by its content.
        size: (width, height) that it must have.
        mode: Pillow's name of the kind of pixels that it must have, such as "RGB".

    Raises:
        StageError: no picture, cut short, several in one file, more than 8 bits a channel, too
            large to be decoded, another size or kind.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size and metadata: what matters is checked
            with Image.open(path, formats=FORMATS) as image:
                _check(path, image, size, mode)
                return np.asarray(image.convert("RGB"))
    except (StageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise StageError(f"{path}: {_too_large('more')}") from None
    except Exception as error:  # Pillow has no common class for what is wrong with a file
        raise StageError(f"{path}: not a readable picture, or cut short{_reason(error)}") from None


def _check(path: Path, image: Any, size: tuple[int, int] | None, mode: str) -> None:
    """Refuse by the header alone, before pixels take memory."""
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise StageError(f"{path}: {_too_large(f'{pixels:,}')}")
    if (size and image.size != size) or (mode and image.mode != mode):
        wide, high = size or image.size
        expected = f"{wide}x{high} {mode}".strip()
        actual = f"{image.width}x{image.height} {image.mode}"
        raise StageError(f"{path}: expected {expected}, found {actual}")
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
