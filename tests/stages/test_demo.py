"""demo: So2Sat's layout to the byte, physics by hand, learnable but not given away, kills."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli
from stages.demo import main as stage
from tests import land_values

ROOT = Path(__file__).resolve().parents[2]
FEW = ("--train_per_class=2", "--test_per_class=1")


def command(dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--dst={dst}", *flags])
    return dst


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(tmp_path_factory.mktemp("demo") / "so2sat", *FEW)


@pytest.mark.parametrize(("split", "rows"), [("training", 34), ("testing", 17)])
def test_is_laid_out_as_so2sat_is(made: Path, split: str, rows: int) -> None:
    path = made / f"{split}.h5"
    so2sat = rows * (32 * 32 * 18 + 17) * 8 + 2048
    assert path.stat().st_size == so2sat + rows * 4 + 168  # city is the one thing more
    with h5py.File(path) as file:
        assert {name: (d.shape, d.dtype, d.chunks) for name, d in file.items()} == {
            "sen1": ((rows, 32, 32, 8), np.float64, None),
            "sen2": ((rows, 32, 32, 10), np.float64, None),
            "label": ((rows, 17), np.float64, None),
            "city": ((rows,), np.int32, None),
        }
        city = file["city"][:]
        label, sen1, sen2 = (file[name][:] for name in ("label", "sen1", "sen2"))
    first, last = {"training": (0, 23), "testing": (24, 31)}[split]
    assert first <= city.min() < city.max() <= last  # other cities in each split
    assert label.sum(0).tolist() == [rows // 17] * 17
    assert label.max(1).tolist() == [1.0] * rows
    np.testing.assert_array_equal(sen2, np.rint(sen2 * 1e4) / 1e4)
    assert 0.0 < sen2.min() <= sen2.max() <= 2.8
    assert np.isfinite(sen1).all()
    assert sen1[..., 4:6].min() >= 0  # intensities
    assert 1 < np.abs(sen1).max() < np.finfo(np.float16).max  # tails, but storable


def test_a_row_depends_on_nothing_but_its_numbers(made: Path) -> None:
    with h5py.File(made / "testing.h5") as file:
        row = {name: file[name][9] for name in file}
    again = stage.patch(int(row["label"].argmax()), 9, 42, 1)
    for name, values in row.items():
        np.testing.assert_array_equal(again[name], values)


def test_the_seed_and_the_split_decide(made: Path, tmp_path: Path) -> None:
    other = command(tmp_path / "other", *FEW, "--seed=1")
    one, two = (h5py.File(folder / "training.h5")["sen2"][:2] for folder in (made, other))
    assert not np.array_equal(one, two)
    assert not np.array_equal(stage.patch(0, 0, 42, 0)["sen2"], stage.patch(0, 0, 42, 1)["sen2"])


def test_patches_are_those_that_published_figures_are_of() -> None:
    land_values.compare(land_values.measure_patches())


def test_patches_of_one_city_share_its_air() -> None:
    blue: dict[int, list[float]] = {}
    for row in range(40):
        made = stage.patch(16, row, 42, 0)  # water: how blue it looks is haze and turbidity
        blue.setdefault(int(made["city"]), []).append(made["sen2"][..., 0].mean())
    within = np.mean([np.std(values) for values in blue.values() if len(values) > 1])
    assert within < 0.6 * np.std([np.mean(values) for values in blue.values()])


def test_a_shadow_is_as_long_as_the_sun_is_low() -> None:
    from shared.landscape import shadow

    height = np.zeros((20, 20))
    height[10, 10] = 10.0  # metres; cells of 2.5 m, the sun in the south at 45 degrees
    dark = shadow(height, np.pi, np.radians(45.001))
    assert np.argwhere(dark).tolist() == [[6, 10], [7, 10], [8, 10], [9, 10]]
    assert np.argwhere(shadow(height, np.pi / 2, np.pi / 4.001))[:, 1].max() < 10  # sun in the east


@pytest.mark.parametrize(("pixel", "sigma"), [(10, 5.5), (20, 10.0)])
def test_blur_keeps_what_is_flat_and_where_it_is(pixel: int, sigma: float) -> None:
    from shared.landscape import CELLS, blur

    weight = blur(pixel, sigma)
    np.testing.assert_allclose(weight.sum(1), 1.0)
    ramp = weight @ (np.arange(CELLS) / 4)  # cells of 2.5 m, in pixels of 10 m
    np.testing.assert_allclose(ramp, np.arange(32) + 4 + 0.375, atol=0.01)


def test_speckle_has_the_power_of_the_ground() -> None:
    from shared import landscape
    from stages.demo import radar

    rng = np.random.default_rng(0)
    city = landscape.draw_city(rng)
    size = (landscape.CELLS, landscape.CELLS)
    flat = landscape.Ground(
        np.full(size, landscape.CODE["grass"]), np.zeros(size), np.ones(size), np.zeros(size, bool)
    )
    seen = np.stack([radar.sen1(flat, city, rng) for _ in range(20)])
    vv, vh = city.backscatter[landscape.CODE["grass"]]
    power = [(seen[..., i] ** 2 + seen[..., i + 1] ** 2).mean() for i in (0, 2)]
    np.testing.assert_allclose(power, [vh, vv], rtol=0.05)
    np.testing.assert_allclose(seen[..., 4:6].mean((0, 1, 2)), [vh, vv], rtol=0.05)
    raw = seen[..., 2] ** 2 + seen[..., 3] ** 2
    assert seen[..., 5].std() < 0.5 * raw.std()  # filtered


def test_learnable_but_not_given_away() -> None:
    def features(split: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        zones = np.arange(17 * count) % 17
        sen2 = np.stack([stage.patch(int(z), i, 42, split)["sen2"] for i, z in enumerate(zones)])
        return np.hstack([sen2.mean((1, 2)), sen2.std((1, 2))]), zones

    (train, zones), (test, truth) = features(0, 8), features(1, 5)
    mean, spread = train.mean(0), train.std(0)
    near = (((test - mean) / spread)[:, None] - ((train - mean) / spread)) ** 2
    guesses = zones[near.sum(-1).argmin(1)]
    assert 0.25 < (guesses == truth).mean() < 0.75  # chance is 0.06
    for band in range(test.shape[1]):  # no single number tells the zone
        alone = zones[near[..., band].argmin(1)]
        assert (alone == truth).mean() < 0.35


def process(dst: Path) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "stages.demo.main", f"--dst={dst}", *FEW]
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(line, cwd=ROOT, env=quiet, stderr=subprocess.DEVNULL)


def test_kills_at_random_moments(made: Path, tmp_path: Path) -> None:
    dst, moment = tmp_path / "so2sat", random.Random(3)
    for _ in range(4):
        running = process(dst)
        time.sleep(moment.uniform(0.4, 0.9))
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert process(dst).wait() == 0
    for name in ("training.h5", "testing.h5"):
        assert (dst / name).read_bytes() == (made / name).read_bytes()
    assert sorted(path.name for path in dst.iterdir()) == ["testing.h5", "training.h5"]


def test_keeps_a_file_that_is_complete(tmp_path: Path, monkeypatch: Any) -> None:
    write = stage.write

    def crash(path: Path, *rest: int) -> None:
        if path.stem == "testing":
            raise KeyboardInterrupt
        write(path, *rest)

    monkeypatch.setattr(stage, "write", crash)
    with pytest.raises(SystemExit, match="130"):
        command(tmp_path / "so2sat", *FEW)
    kept = tmp_path / "so2sat.partial" / "training.h5"
    before = kept.stat().st_mtime_ns
    monkeypatch.setattr(stage, "write", write)
    command(tmp_path / "so2sat", *FEW)
    assert (tmp_path / "so2sat" / "training.h5").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--train_per_class=0", "--train_per_class: expected at least 1, found 0"),
        ("--test_per_class=-1", "--test_per_class: expected at least 1, found -1"),
        ("--seed=-1", "--seed: expected at least 0, found -1"),
        ("--sed=1", "did you mean --seed?"),
    ],
)
def test_refuses(tmp_path: Path, flag: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "so2sat", flag)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # nothing left behind
