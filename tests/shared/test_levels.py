"""How many levels of an 8-bit picture bands use: counted by hand, from runs of rows of any file."""

from pathlib import Path

import numpy as np
import pytest

from shared import lcz, models, patches
from shared.models import levels
from tests.conftest import pixels, write_patches, write_raw

LEVEL = 2.8 / 255


def spans(path: Path, name: str = "sen2") -> list[int]:
    with patches.read(path, name) as source:
        return models.span_levels(source[name]).tolist()


def test_levels_are_counted_as_the_pictures_round(tmp_path: Path) -> None:
    sen2 = np.zeros((4, 10, 10, 10))
    sen2[..., 1] = np.repeat(np.arange(4), 100).reshape(4, 10, 10) * LEVEL  # 0, 1, 2, 3
    sen2[..., 2] = 2.8 * (np.arange(400).reshape(4, 10, 10) % 2)
    sen2[..., 3] = 0.4 * LEVEL * (np.arange(400).reshape(4, 10, 10) % 2)  # rounded away
    sen2[..., 4] = 20 * LEVEL
    sen2[0, 0, :4, 4] = 0.0  # 1 % of the values, at the low end
    sen2[0, 0, 4:8, 4] = 2.8
    sen2[..., 5] = sen2[..., 4]
    sen2[0, 1, 0, 5] = 0.0  # one more is within the middle 98 %
    path = write_raw(tmp_path / "a.h5", {"sen2": sen2})
    assert spans(path) == [1, 4, 256, 1, 1, 21, 1, 1, 1, 1]


@pytest.mark.parametrize("rows", [255, 256, 257, 700])
def test_all_of_few_rows_and_runs_of_many(tmp_path: Path, rows: int) -> None:
    values = np.zeros((rows, 32, 32, 8), np.float32)
    values[: rows // 2] = 0.25
    values[-20:, ..., 1] = -0.5  # the end of the file is looked at, too
    path = write_raw(tmp_path / "a.h5", {"sen1": values})
    assert spans(path, "sen1")[:3] == [64, 192, 64]  # 0 is level 128, 0.25 is 191


def test_prepared_files_say_the_same_as_their_source(lcz42: Path, prepared: Path) -> None:
    assert spans(lcz42) == spans(prepared)
    assert min(spans(prepared)) > 1


def test_few_levels_are_warned_of(tmp_path: Path) -> None:
    arrays = pixels(34)
    arrays["sen2"] = np.round(np.random.default_rng(0).random((34, 32, 32, 10)), 4)  # 0 to 1: 91
    arrays["sen2"][..., 0] *= 0.02  # 0.02: 2 levels
    arrays["sen2"][..., 2] = 0.3
    path = write_patches(tmp_path / "a.h5", arrays)
    with patches.read(path, "sen2") as source:
        stated, flat, few = models.describe_levels(source["sen2"])
    assert stated.startswith("sen2: levels of 256 (0 … 2.8) that the middle 98% of each band spans")
    assert ": B2 3, B3 9" in stated
    assert ", B4 1, " in stated
    assert flat == "warning: sen2: no variation in B4"
    assert few.startswith("warning: sen2: fewer than 16 levels in B2: ")


def test_nothing_is_warned_of_where_levels_are_many(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    path = write_raw(tmp_path / "a.h5", {"rgb": rgb})
    with patches.read(path, "rgb") as source:
        (line,) = models.describe_levels(source["rgb"])
    assert line.startswith("rgb: levels of 256 (0 … 255)")
    assert all(f"{band} 2" in line for band in lcz.RGB.bands)


@pytest.mark.parametrize(
    ("shape", "runs"),
    [
        ((34, 32, 32), [(0, 34)]), ((256, 32, 32), [(0, 256)]),  # 256 * 1024 pixels
        ((257, 32, 32), [(0, 16), (241, 257)]), ((1000, 64, 4), [(0, 1000)]),
        ((5, 512, 256), [(0, 1), (4, 5)]), ((2, 1024, 512), [(0, 1)]),
        ((40, 256, 64), [(0, 1), (39, 40)]),
    ],
)  # fmt: skip
def test_rows_that_are_looked_at(shape: tuple[int, ...], runs: list[tuple[int, int]]) -> None:
    """The first and the last of sixteen runs, or of as few as there are."""
    rows = Rows(*shape)
    found = levels._runs(rows, levels.PIXELS, levels.RUNS)  # type: ignore[arg-type]
    ends = [(run.start, run.stop) for run in found]
    assert ends[:1] + (ends[-1:] if len(runs) > 1 else []) == runs
    assert len(found) in (1, 2, 16)
    assert all(run.stop - run.start == found[0].stop - found[0].start for run in found)


class Rows:
    """Rows of a shape and nothing else."""

    def __init__(self, *shape: int) -> None:
        self.shape = (*shape, 3)

    def __len__(self) -> int:
        return self.shape[0]
