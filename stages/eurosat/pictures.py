"""Folders of pictures, and what is in one of them. Needs Pillow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from shared.errors import StageError

ENDINGS = {".jpg", ".jpeg", ".png"}


def list_pictures(folder: Path) -> dict[str, list[Path]]:
    """Class name to its pictures, both sorted: one folder per class, hidden ones left out.

    Raises:
        StageError: fewer than two class folders, or one without pictures.
    """
    if not folder.is_dir():
        raise StageError(f"{folder}: expected a folder with one folder per class, found a file")
    folders = sorted(f for f in folder.iterdir() if f.is_dir() and f.name[0] not in "._")
    if len(folders) < 2:
        names = [f.name for f in folders]
        raise StageError(
            f"{folder}: expected a folder for each of 2 or more classes, found {names}"
        )
    classes = {
        f.name: sorted(p for p in f.iterdir() if p.suffix.lower() in ENDINGS) for f in folders
    }
    for name, files in classes.items():
        if len(files) < 2:
            expected = "expected 2 or more pictures (.jpg, .png)"
            raise StageError(f"{folder / name}: {expected}, found {len(files)}")
    return classes


def read_pixels(path: Path, side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8, red green blue.

    Raises:
        StageError: not a readable picture, or of another size or kind.
    """
    try:
        with Image.open(path) as image:
            size, mode = image.size, image.mode
            values = np.asarray(image)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        raise StageError(f"{path}: not a readable picture, or cut short") from None
    if size != (side, side) or mode != "RGB":
        described = f"{size[0]}x{size[1]} {mode}"
        raise StageError(f"{path}: expected {side}x{side} RGB, found {described}")
    return values
