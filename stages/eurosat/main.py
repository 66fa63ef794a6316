"""EuroSAT's folders of RGB pictures to patch files, split by class."""

from pathlib import Path
from typing import Annotated

import numpy as np

from shared import cli, lcz, patches

BATCH = 256
SIDE = 64  # pixels
Sample = tuple[Path, int]


def split(
    classes: dict[str, list[Path]], test_share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Training and testing pictures with their class numbers, each shuffled.

    Args:
        classes: class name to its pictures, in class order.
        test_share: share of every class that goes to testing, at least one picture, never all.
        seed: decides which, and the order.
    """
    rng = np.random.default_rng(seed)
    sides: tuple[list[Sample], list[Sample]] = ([], [])
    for number, files in enumerate(classes.values()):
        count = min(max(round(len(files) * test_share), 1), len(files) - 1)
        for place, which in enumerate(rng.permutation(len(files))):
            sides[place < count].append((files[which], number))
    training, testing = ([one[i] for i in rng.permutation(len(one))] for one in sides)
    return training, testing


def run(
    *,
    src: Path,
    dst: Path,
    test_share: Annotated[float, cli.between(0, 1, above=True, below=True)] = 0.2,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Make patch files of a folder with one folder of 64 x 64 RGB pictures per class.

    Args:
        src: folder of class folders, as EuroSAT RGB is distributed; class names are theirs.
        dst: folder to make, with training.h5 and testing.h5: rgb (N, 64, 64, 3) 0 to 255,
            label (N, classes) one-hot.
        test_share: share of each class that goes to testing.h5.
        seed: decides the split and the order of the rows.
    """
    from stages.eurosat import pictures

    classes = pictures.list_pictures(src)
    names = tuple(classes)
    dst.mkdir(exist_ok=True)
    training, testing = split(classes, test_share, seed)
    for name, samples in (("training", training), ("testing", testing)):
        write(dst / f"{name}.h5", samples, names)


def write(path: Path, samples: list[Sample], classes: tuple[str, ...]) -> None:
    """One patch file; rows that an earlier run wrote are kept."""
    from stages.eurosat import pictures

    rgb = patches.Field((SIDE, SIDE, 3), "uint8", lcz.RGB)
    label = patches.Field((len(classes),), "uint8")
    with patches.Writer(path, len(samples), classes=classes, rgb=rgb, label=label) as sink:
        for rows in sink.todo(BATCH):
            images = np.stack([pictures.read_pixels(file, SIDE) for file, _ in samples[rows]])
            onehot = np.eye(len(classes), dtype=np.uint8)[[number for _, number in samples[rows]]]
            sink.put(rows, rgb=images, label=onehot)


if __name__ == "__main__":
    cli.main(run)
