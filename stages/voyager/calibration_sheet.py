"""The calibration pictures on one sheet, for people: a row a class, brightened."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shared.pictures import read_picture
from shared.voyager import calibration

NAMES = 150  # pixels on the left, for the names
BRIGHT = 99  # percentile of all values that becomes white: reflectance seldom fills 8 bits


def arrange_tiles(
    tiles: NDArray[np.uint8], classes: NDArray[np.integer], rows: int
) -> NDArray[np.uint8]:
    """Tiles beside each other, brightened by one factor.

    Args:
        tiles: (N, H, W, 3).
        classes: (N,) class of each.
        rows: number of classes.

    Returns:
        (rows * H, M * W, 3), M being the most tiles of one class; black where there are fewer.
    """
    height, width = tiles.shape[1:3]
    most = int(np.bincount(classes, minlength=rows).max())
    sheet = np.zeros((rows, most, height, width, 3), np.uint8)
    factor = 255 / max(1.0, float(np.percentile(tiles, BRIGHT)))
    for k in range(rows):
        bright = tiles[classes == k] * factor
        sheet[k, : len(bright)] = bright.clip(0, 255).round().astype(np.uint8)
    return sheet.swapaxes(1, 2).reshape(rows * height, most * width, 3)


def write_sheet(path: Path, folder: Path, names: tuple[str, ...]) -> None:
    """Draw the pictures of a calibration folder, whose names tell their class.

    Args:
        path: PNG to write.
        folder: of the pictures.
        names: (K,) of the classes.
    """
    files = calibration.list_pictures(folder)
    told = [calibration.read_name(file.name) for file in files]
    classes = np.array([number for number, _ in filter(None, told)])
    tiles = np.stack([read_picture(file) for file in files])
    pictures = arrange_tiles(tiles, classes, len(names))
    sheet = Image.new("RGB", (NAMES + pictures.shape[1], pictures.shape[0]), "white")
    sheet.paste(Image.fromarray(pictures), (NAMES, 0))
    draw = ImageDraw.Draw(sheet)
    for k, name in enumerate(names):
        draw.text((4, int((k + 0.5) * tiles.shape[1])), name, "black", anchor="lm")
    sheet.save(path, "PNG")
