"""Names of calibration pictures: SDK 1.8 takes the first N of them in the order of their names.

0007_08_000123.png    the eighth picture, of class 8, row 123 of the training file
"""

import re
from collections.abc import Sequence
from pathlib import Path

NAME = re.compile(r"(\d{4})_(\d{2,})_(\d{6,})\.png")
USUAL = (100, 200, 400)  # the least and the most that the SDK documents, and its default between


def name_picture(place: int, number: int, row: int) -> str:
    """The name of a picture.

    Args:
        place: from 0, in the order in which the pictures are to be taken.
        number: zero-based class.
        row: of the training file.
    """
    return f"{place:04d}_{number + 1:02d}_{row:06d}.png"


def read_name(name: str) -> tuple[int, int] | None:
    """Zero-based class and row of a picture, or None where the name does not tell."""
    found = NAME.fullmatch(name)
    return (int(found[2]) - 1, int(found[3])) if found else None


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in the order in which SDK 1.8 reads them: that of their names."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def count_classes(files: Sequence[Path], classes: int, taken: int | None = None) -> list[int]:
    """How many of the first so many pictures are of each class; all of them without a number.

    Raises:
        ValueError: a name that does not tell its class.
    """
    counts = [0] * classes
    for path in files[:taken]:
        told = read_name(path.name)
        if told is None or not told[0] < classes:
            raise ValueError(f"{path.name}: a name that does not tell its class")
        counts[told[0]] += 1
    return counts


def describe_prefix(files: Sequence[Path], classes: int, taken: int) -> str:
    """What so many pictures hold: "the first 200: 11 or 12 of each of 17 classes"."""
    counts = count_classes(files, classes, taken)
    least, most = min(counts), max(counts)
    many = f"{least}" if least == most else f"{least} {'or' if most == least + 1 else 'to'} {most}"
    first = f"the first {taken}" if taken < len(files) else f"all {len(files)}"
    return f"{first}: {many} of each of {classes} classes"


def describe_prefixes(files: Sequence[Path], classes: int) -> list[str]:
    """The same for the numbers that people give `--num-cal-images`, and for all pictures."""
    numbers = [*(taken for taken in USUAL if taken < len(files)), len(files)]
    return [describe_prefix(files, classes, taken) for taken in numbers]
