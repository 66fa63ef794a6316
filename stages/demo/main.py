"""Procedural scenes of the 17 Local Climate Zones, in the layout So2Sat LCZ42 is distributed in."""

from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from shared import cli, lcz, progress

BATCH = 64
CITIES = {"training": 24, "testing": 8}
SHAPES: dict[str, tuple[int, ...]] = {
    "sen1": (32, 32, 8), "sen2": (32, 32, 10), "label": (17,), "city": (),
}  # fmt: skip


def zones(per_class: int, seed: int, split: int) -> NDArray[np.intp]:
    """(17 * per_class,) zone numbers 0 to 16 in row order: every zone as often, shuffled."""
    order = np.repeat(np.arange(len(lcz.CLASSES)), per_class)
    return np.random.default_rng((seed, split, 0, 0x50F)).permutation(order)


def patch(zone: int, row: int, seed: int, split: int) -> dict[str, NDArray[Any]]:
    """One patch; it depends on these four numbers only, not on the rows made before.

    Returns:
        sen1 (32, 32, 8), sen2 (32, 32, 10) reflectance, label (17,) one-hot, all float64; city ()
            int32, 0 to 23 in training.h5 and 24 to 31 in testing.h5.
    """
    from shared.landscape import cover_patch, draw_city, sen2
    from stages.demo import radar

    rng = np.random.default_rng((seed, split, row))
    home = int(rng.integers(tuple(CITIES.values())[split]))
    city = draw_city(np.random.default_rng((seed, split, home, 0xC17)))
    land = cover_patch(zone, city, rng)
    return {
        "sen1": radar.sen1(land, city, rng),
        "sen2": sen2(land, city, rng),
        "label": np.eye(len(lcz.CLASSES))[zone],
        "city": np.array(sum(tuple(CITIES.values())[:split]) + home, np.int32),
    }


def write(path: Path, per_class: int, seed: int, split: int) -> None:
    """A whole file, under another name until it is complete: contiguous, no attributes."""
    order = zones(per_class, seed, split)
    draft = path.with_name(path.name + ".new")
    with h5py.File(draft, "w") as file, progress.bar(len(order), path.stem) as bar:
        for name, shape in SHAPES.items():
            file.create_dataset(name, (len(order), *shape), "i4" if name == "city" else "f8")
        for start in range(0, len(order), BATCH):
            block = order[start : start + BATCH]
            made = [patch(int(z), start + i, seed, split) for i, z in enumerate(block)]
            for name in SHAPES:
                file[name][start : start + len(made)] = np.stack([one[name] for one in made])
            bar.update(len(made))
    draft.replace(path)


def run(
    *,
    dst: Path,
    train_per_class: Annotated[int, cli.at_least(1)] = 60,
    test_per_class: Annotated[int, cli.at_least(1)] = 30,
    seed: Annotated[int, cli.at_least(0)] = 42,
) -> None:
    """Make a small stand-in for So2Sat LCZ42: training.h5 and testing.h5 of other cities.

    Args:
        dst: folder to make; each file has sen1 (N, 32, 32, 8), sen2 (N, 32, 32, 10) reflectance
            0 to 2.8 and label (N, 17) one-hot, all float64 and contiguous, and city (N,) int32.
        train_per_class: rows of each of the 17 zones in training.h5.
        test_per_class: rows of each of the 17 zones in testing.h5.
        seed: another seed gives other cities and other patches.
    """
    dst.mkdir(exist_ok=True)
    for split, count in enumerate((train_per_class, test_per_class)):
        path = dst / f"{tuple(CITIES)[split]}.h5"
        if not path.exists():
            write(path, count, seed, split)


if __name__ == "__main__":
    cli.main(run)
