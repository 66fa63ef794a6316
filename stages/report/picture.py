"""One picture for people who look first: some patches on their way through the chain.

    .venvs/report/bin/python -m stages.report.picture --data data/gallery --dst docs/picture.png

`make picture SOURCE=gallery` does the same. Columns are zones; rows are the patch as it was
observed, the same patch super-resolved, its topology, and the class by the INT8 student.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from shared import lcz, patches
from shared.models import scores
from stages.report import datasets, pictures

ZONES = (0, 2, 5, 7, 10, 13, 16)  # class numbers from 0, one zone of each kind
BAND = "B8"
ROWS = ("observed, 10 m", "super-resolved", "topology (H1)")


def choose(labels: NDArray[np.integer]) -> list[int]:
    """The first test row of each zone, right or wrong, so that the picture does not flatter."""
    return [int(np.flatnonzero(labels == zone)[0]) for zone in ZONES]


def true_colour(path: Path, rows: list[int]) -> NDArray[np.uint8]:
    """(N, H, W, 3) pictures of some rows, all between the same ends."""
    with patches.read(path, "sen2") as source:
        layout = source["sen2"].layout
        assert layout is not None
        index = [layout.bands.index(band) for band in lcz.TRUE_COLOUR]
        values = datasets.values(source, "sen2", np.array(rows))[..., index]
    return pictures.stretch(values, pictures.limits(values))


def topology(path: Path, rows: list[int]) -> list[NDArray[np.uint8]]:
    """Persistence image of H1 of the near-infrared band."""
    with patches.read(path, "grid") as source:
        facts = dict(source["grid"].stored.attrs)
    bands, bins = [str(band) for band in facts["bands"]], int(facts["bins"])
    with patches.read(path, "features") as source:
        values = datasets.values(source, "features", np.array(rows))
    images = values.reshape(len(rows), len(bands), 2, bins, bins)[:, bands.index(BAND), 1]
    top = float(np.percentile(images, 99.5))
    return [pictures.colour(image, top) for image in images]


def draw(data: Path, dst: Path, student: str = "resnet18") -> None:
    """Draw the picture from the products below a data folder; `student` is one of its exports."""
    folder = data / "export" / student / "int8"
    labels = scores.read_array(folder / "test_labels.npy", 1)
    probabilities = scores.read_array(folder / "test_scores.npy", 2)
    rows = choose(labels)
    large = next(iter(sorted(data.glob("sr-*/x[234]/testing.h5"), key=preferred)))
    painted: list[Any] = [
        true_colour(data / "prepare" / "testing.h5", rows),
        true_colour(large, rows),
        topology(data / "tda" / "prepare" / "testing.h5", rows),
    ]
    names = [ROWS[0], f"{ROWS[1]} ({large.parent.parent.name} {large.parent.name})", ROWS[2]]
    figure, axes = plt.subplots(3, len(rows), figsize=(12, 5.9), dpi=100)
    for line, (name, images) in enumerate(zip(names, painted, strict=True)):
        for column, image in enumerate(images):
            axis = axes[line, column]
            axis.imshow(image, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[line, 0].set_ylabel(name, fontsize=9)
    for column, row in enumerate(rows):
        axes[0, column].set_title(datasets.title(lcz.CLASSES[labels[row]]), fontsize=10)
        guess = int(probabilities[row].argmax())
        right = guess == labels[row]
        percent = 100 * probabilities[row, guess]
        verdict = f"{datasets.title(lcz.CLASSES[guess])}\nINT8 student, {percent:.0f} %"
        axes[2, column].set_xlabel(verdict, fontsize=9, color="#1a7f37" if right else "#b3261e")
    figure.tight_layout(pad=0.5, h_pad=0.2, w_pad=0.4)
    dst.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(dst, metadata={"Software": None})


def preferred(path: Path) -> tuple[bool, str]:
    """SwinIR before the others."""
    return "swinir" not in path.parts[-3], str(path)


def main(argv: list[str] | None = None) -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="data folder, such as data/gallery"
    )
    parser.add_argument("--dst", type=Path, required=True, help="PNG to write")
    parser.add_argument("--student", default="resnet18", help="name of its export")
    arguments = parser.parse_args(argv)
    draw(arguments.data, arguments.dst, arguments.student)


if __name__ == "__main__":
    main()
