"""Small patch files for every test, made from a seed; the folder of real sample data."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import lcz, patches
from tests.samples import SAMPLES

ROWS = 34  # two of each class
for variable in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # of the make that started the tests
    os.environ.pop(variable, None)


def pixels(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Patches whose bands depend on the class, plus noise: sen1, sen2 as float64, label one-hot."""
    rng = np.random.default_rng(seed)
    classes = np.arange(rows) % 17
    base = 0.05 + 0.01 * classes[:, None, None, None] * np.arange(1, 11) / 10
    sen2 = np.round(base + 0.02 * rng.random((rows, 32, 32, 10)), 4)
    sen1 = 0.1 * rng.standard_normal((rows, 32, 32, 8)) + 0.01 * classes[:, None, None, None]
    return {"sen1": sen1, "sen2": sen2, "label": np.eye(17)[classes]}


def write_raw(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A file in the layout So2Sat distributes: contiguous float64, no attributes."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def write_patches(path: Path, arrays: dict[str, np.ndarray], shard: str = "1/1") -> Path:
    """A patch file as `prepare` makes it: uint16 sen2, float16 sen1, statistics inside."""
    rows = len(arrays["label"])
    sen2 = patches.Field(arrays["sen2"].shape[1:], "uint16", lcz.SEN2)
    sen1 = patches.Field(arrays["sen1"].shape[1:], "float16", lcz.SEN1)
    label = patches.Field((17,), "uint8")
    fields: dict[str, Any] = {"sen1": sen1, "sen2": sen2, "label": label}
    with patches.Writer(path, rows, shard, classes=lcz.CLASSES, **fields) as sink:
        for block in sink.todo(rows):
            sink.put(block, **{name: arrays[name][block] for name in fields})
    return path


@pytest.fixture
def lcz42(tmp_path: Path) -> Path:
    """34 rows in So2Sat's own layout, alone in its folder."""
    folder = tmp_path / "so2sat"
    folder.mkdir()
    return write_raw(folder / "training.h5", pixels(ROWS))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """34 rows as a patch file with statistics, alone in its folder."""
    folder = tmp_path / "prepare"
    folder.mkdir()
    return write_patches(folder / "training.h5", pixels(ROWS))


@pytest.fixture
def prepared_test(tmp_path: Path) -> Path:
    """17 other rows, as a test split."""
    folder = tmp_path / "prepare"
    folder.mkdir(exist_ok=True)
    return write_patches(folder / "testing.h5", pixels(17, seed=1))


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real samples: $LCZ42_SAMPLES, or shared/data beside the checkout; else skips."""
    if not (SAMPLES / "README.md").is_file():
        pytest.skip("no real sample data here")
    return SAMPLES
