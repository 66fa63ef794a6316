"""Example tiles as pictures, and confusion matrices of as many pixels as a data set has."""

from pathlib import Path

import numpy as np
from PIL import Image

from shared import tiles
from shared.models import figures
from shared.tiles import figures as examples
from tests import tile_files


def test_errors_are_red_and_what_has_no_class_is_white() -> None:
    truth = np.array([[0, 1, tiles.IGNORE]], np.uint8)
    shown = examples.show_errors(truth, np.array([[0, 2, 1]], np.uint8))
    assert shown[0].tolist() == [[0xDF, 0xE5, 0xEC], [0xD6, 0x27, 0x28], [255, 255, 255]]


def test_four_panels_with_all_classes_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    image, mask = tile_files.noise(1)
    example = examples.Example("a_0", image[0], mask[0], np.where(mask[0] > 4, 0, mask[0]))
    for name in ("one.png", "two.png"):
        examples.draw_example(tmp_path / name, example, tiles.CLASSES, tiles.COLOURS)
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width > 3 * picture.height / 2
        shown = {colour for _, colour in picture.convert("RGB").getcolors(2**24)}
    assert {(0x61, 0x4A, 0x4A), (0x26, 0x73, 0x00), (0x00, 0xC5, 0xFF), (0xCF, 0xCF, 0xCF)} <= shown
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_counts_of_pixels_are_shortened_and_counts_of_rows_are_not() -> None:
    said = {99_999: "99999", 100_000: "100 k", 999_600: "1000 k", 1_234_567: "1.23 M"}
    said |= {345_000_000: "345 M", 2_160_000_000: "2.16 G"}
    assert {count: figures._shorten(count) for count in said} == said
