"""A bundle of a tiny network, under the environment of `voyager`: make_bundle.py FOLDER."""

import sys
from pathlib import Path

from shared import cli
from stages.voyager import main
from tests import networks
from tests.conftest import pixels, write_patches


def make(folder: Path) -> None:
    """FOLDER/bundle and what it is made from."""
    arrays = [pixels(17 * rows, seed) for seed, rows in ((0, 12), (1, 2))]
    train, test = (
        write_patches(folder / f"{name}.h5", some | {"sen2": some["sen2"] * 8})
        for name, some in zip(("training", "testing"), arrays, strict=True)
    )
    src = networks.student(folder / "export", train, test, batch=1)
    flags = [f"--src={src}", f"--train={train}", f"--test={test}", "--calibration=200"]
    cli.main(main.run, [*flags, f"--dst={folder / 'bundle'}"])


if __name__ == "__main__":
    make(Path(sys.argv[1]))
