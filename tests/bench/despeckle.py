"""What despeckling costs on one core: a call per channel, as the reference does, and a strip.

    .venvs/prepare/bin/python -m tests.bench.despeckle

Processor time, and the ways in turn on the same patches, so that what else the machine does meets
all of them. The last lines are the whole stage, from file to file, without and with.
"""

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
from numpy.typing import NDArray

from shared import cli
from stages.prepare import main as prepare
from stages.prepare import speckle

ROWS, ROUNDS = 48, 7
Levels = NDArray[np.uint8]


def raw(path: Path) -> NDArray[np.float64]:
    """A file in So2Sat's layout, of noise; its sen1."""
    rng = np.random.default_rng(0)
    sen1 = 0.2 * rng.standard_normal((ROWS, 32, 32, 8))
    with h5py.File(path, "w") as file:
        file["sen1"], file["label"] = sen1, np.eye(17)[np.arange(ROWS) % 17]
        file["sen2"] = rng.integers(0, 10_000, (ROWS, 32, 32, 10)) / 1e4
    return sen1


def by_channel(level: Levels) -> Levels:
    """(H, W, C) smoothed with one call per channel."""
    parts = [
        cv2.fastNlMeansDenoising(np.ascontiguousarray(level[..., channel]), None, 12, 7, 21)
        for channel in range(level.shape[-1])
    ]
    return np.asarray(np.stack(parts, -1), np.uint8)


def milliseconds(ways: dict[str, Callable[[], object]], rows: int) -> dict[str, float]:
    """Median milliseconds of one core per patch of each way, taken in turn."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.process_time()
            way()
            spent[name].append(1e3 * (time.process_time() - start) / rows)
    return {name: statistics.median(values) for name, values in spent.items()}


def main() -> None:
    """Prints milliseconds per patch."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        src, count = Path(folder) / "in.h5", itertools.count()
        level = speckle.levels(raw(src))
        assert all(np.array_equal(by_channel(one), speckle.smooth(one)) for one in level)

        def stage(*flags: str) -> None:
            with contextlib.redirect_stdout(sys.stderr):
                cli.main(prepare.run, [f"--src={src}", f"--dst={folder}/{next(count)}.h5", *flags])

        ways: dict[str, Callable[[], object]] = {
            "a call per channel": lambda: [by_channel(one) for one in level],
            "a strip of channels": lambda: [speckle.smooth(one) for one in level],
            "prepare": stage,
            "prepare --despeckle": lambda: stage("--despeckle", "--jobs=1"),
        }
        for name, value in milliseconds(ways, ROWS).items():
            print(f"{name:22} {value:6.2f} ms of one core a patch")


if __name__ == "__main__":
    main()
