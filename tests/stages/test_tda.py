"""tda: hand-made diagrams, giotto-tda as oracle, one grid, shards, going on, refusals."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from stages.tda import diagrams, grids, images, workers
from stages.tda import main as stage
from tests.conftest import pixels, write_patches

PEAK = np.pad([[9.0]], 2)  # 9 in the middle of 5 x 5 zeros
PIT = 9 - PEAK
RING = np.full((5, 5), 5.0)
RING[1:4, 1:4] = 1
RING[2, 2] = 7
DIAGONAL = np.full((5, 5), 8.0)  # two pits that touch at a corner, one that touches none
DIAGONAL[0, 0], DIAGONAL[1, 1], DIAGONAL[4, 4] = 1, 2, 3


def command(src: Path, dst: Path, *flags: str) -> np.ndarray:
    """Run the stage in this process; the features it wrote."""
    given = " ".join(flags)
    usual = [flag for flag in ("--bins=8", "--jobs=1") if flag.split("=")[0] not in given]
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *usual, *flags])
    with h5py.File(dst) as file:
        return np.asarray(file["features"])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """34 rows of 12 x 12 pixels, alone in their folder."""
    (tmp_path / "prepare").mkdir()
    return write_patches(tmp_path / "prepare" / "training.h5", cropped(34))


def cropped(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    made = pixels(rows, seed)
    return {name: a[:, :12, :12] if a.ndim == 4 else a for name, a in made.items()}


def pairs(patch: np.ndarray, dimension: int, essential: bool = True) -> list[tuple[float, float]]:
    """Sorted (birth, persistence) of one patch."""
    found = diagrams.diagrams(patch[None], essential)
    _, birth, persistence = diagrams.points(found, dimension)
    return sorted(zip(birth.tolist(), persistence.tolist(), strict=True))


def textures(count: int, size: int = 16) -> np.ndarray:
    """(count, size, size) smooth, smooth + noise and noise in turn, 0 … 255."""
    rng, ramp = np.random.default_rng(3), np.linspace(0, 3, size)
    waves = 60 * np.sin(ramp[:, None] + np.arange(count)[:, None, None]) * np.cos(ramp) + 100
    noise = 20 * rng.standard_normal((count, size, size))
    kind = np.arange(count)[:, None, None] % 3
    return np.where(kind == 0, waves, np.where(kind == 1, waves + noise, 100 + noise))


@pytest.mark.parametrize(
    ("patch", "h0", "h1"),
    [
        (PEAK, [(0, 9)], [(0, 9)]),
        (PIT, [(0, 9)], []),
        (RING, [(1, 6)], [(1, 6)]),
        (DIAGONAL, [(1, 7), (3, 5)], []),  # eight neighbours: 1 and 2 are one component
        (np.full((5, 5), 4.0), [], []),
    ],
)
def test_diagrams_made_by_hand(patch: np.ndarray, h0: list[object], h1: list[object]) -> None:
    assert pairs(patch, 0) == h0
    assert pairs(patch, 1) == h1
    assert pairs(patch, 0, essential=False) == h0[1:]


def test_adding_a_constant_shifts_the_births_and_moves_the_image() -> None:
    patch = np.round(textures(3)[2])
    shifted = [(birth + 7, persistence) for birth, persistence in pairs(patch, 1)]
    assert pairs(patch + 7, 1) == shifted
    table = np.full((1, 2, 2, 2), [0.0, 255.0])
    setting = grids.Setting("rgb", lcz.Layout(("B4",), 0, 255), 30, 0.5, True)
    before, after = (
        workers.features(p[None, :, :, None], table, setting, map) for p in (patch, patch + 7)
    )
    assert (before != after).any()


def test_every_row_of_a_patch_counts() -> None:
    patch = textures(3)[1]
    mixed = patch[[0, *np.random.default_rng(0).permutation(np.arange(1, 16))]]
    assert pairs(patch, 0) != pairs(mixed, 0)
    assert pairs(patch, 1) != pairs(mixed, 1) != []


@pytest.mark.parametrize("essential", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equal_to_giotto_on_one_grid(essential: bool) -> None:
    from gtda.diagrams import PersistenceImage
    from gtda.homology import CubicalPersistence

    for band in textures(6):  # narrow grids, so that points lie beyond both ends
        giotto = CubicalPersistence(reduced_homology=not essential).fit_transform(band[None])
        for dimension, axes in enumerate([[[60.0, 130.0], [0, 30]], [[80.0, 150.0], [0, 9]]]):
            low, high = np.array(axes).T
            oracle = PersistenceImage(sigma=0.5, n_bins=30).fit(giotto)
            sampling, step = np.linspace(low, high, 30, retstep=True)
            oracle._samplings[dimension], oracle._step_size[dimension] = sampling, step
            points = diagrams.points(diagrams.diagrams(band[None], essential), dimension)
            ours = images.image(*points, 1, np.array(axes), 30, 0.5)
            np.testing.assert_allclose(
                ours[0], oracle.transform(giotto)[0, dimension], rtol=1e-12, atol=1e-14
            )


def test_image_of_one_point() -> None:
    """Birth 2 and persistence 6 on an axis of 0 … 8: column 2, sixth row from below."""
    axes = np.array([[0.0, 8.0], [0.0, 8.0]])
    cell = images.image(np.array([1]), np.array([2.0]), np.array([6.0]), 2, axes, 9, 0.1)
    assert cell.shape == (2, 9, 9)
    assert cell[1, 9 - 1 - 6, 2] == cell.sum() == 1
    beyond = images.image(np.array([1]), np.array([99.0]), np.array([99.0]), 2, axes, 9, 0.1)
    assert beyond[1, 0, 8] == 1


def test_features_do_not_depend_on_neighbours_or_batch(small: Path, tmp_path: Path) -> None:
    whole = command(small, tmp_path / "a.h5")
    assert whole.shape == (34, 10 * 2 * 64)
    assert whole.dtype == np.float16
    one_by_one = command(small, tmp_path / "b.h5", "--batch=1")
    uneven = command(small, tmp_path / "c.h5", "--batch=33")
    np.testing.assert_array_equal(one_by_one, whole)
    np.testing.assert_array_equal(uneven, whole)


def test_grid_spans_the_quantiles_and_never_less_than_sigma_shows() -> None:
    setting = grids.Setting("rgb", lcz.RGB, 30, 0.5, True)
    birth, persistence = np.arange(1001.0), np.linspace(0, 200, 1001)
    np.testing.assert_allclose(grids.axes(birth, persistence, setting), [[5, 995], [0, 199]])
    alike = grids.axes(np.full(9, 40.0), np.full(9, 1.0), setting)
    np.testing.assert_allclose(alike, [[40, 40 + 29 / 8], [0, 29 / 8]])
    assert grids.axes(birth[:0], birth[:0], setting).tolist() == [[0, 255], [0, 255]]
    assert grids.spaced(11, 3).tolist() == [0, 5, 10]
    assert grids.spaced(3, 1000).tolist() == [0, 1, 2]


def test_train_and_test_share_one_grid(small: Path, tmp_path: Path) -> None:
    training, testing = tmp_path / "training.h5", tmp_path / "testing.h5"
    small_test = write_patches(tmp_path / "other.h5", cropped(5, seed=1))
    command(small, training)
    command(small_test, testing, f"--grid={training}")
    with h5py.File(training) as first, h5py.File(testing) as second, h5py.File(small) as source:
        np.testing.assert_array_equal(first["grid"], second["grid"])
        assert dict(first["grid"].attrs).keys() == dict(second["grid"].attrs).keys()
        assert first["grid"].shape == (10, 2, 2, 2)
        assert list(first["grid"].attrs["bands"]) == list(lcz.SEN2.bands)
        assert list(first.attrs["classes"]) == list(lcz.CLASSES)
        np.testing.assert_array_equal(first["label"], source["label"])


def test_sen1_has_its_own_scaling(small: Path, tmp_path: Path) -> None:
    """Negative backscatter is not cut away: births reach below the middle of 0 … 255."""
    found = command(small, tmp_path / "out.h5", "--modality=sen1")
    assert found.shape == (34, 8 * 2 * 64)
    with h5py.File(tmp_path / "out.h5") as file:
        low, high = file["grid"][0, 0, 0]
        assert 0 < low < 127 < high
        assert (file["grid"].attrs["low"], file["grid"].attrs["high"]) == (-0.5, 0.5)


def test_rgb_of_ten_classes(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3)).astype(float)
    image, label = patches.Field((12, 12, 3), "uint8", lcz.RGB), patches.Field((10,), "uint8")
    path, classes = tmp_path / "rgb.h5", list("abcdefghij")
    with patches.Writer(path, 10, classes=classes, rgb=image, label=label) as sink:
        for rows in sink.todo(10):
            sink.put(rows, rgb=rgb, label=np.eye(10, dtype=np.uint8))
    assert command(path, tmp_path / "out.h5", "--modality=rgb").shape == (10, 384)


def test_shards_joined_are_the_whole(small: Path, tmp_path: Path) -> None:
    whole = command(small, tmp_path / "whole.h5")
    halves = [command(small, tmp_path / f"{i}.h5", f"--shard={i}/2") for i in (1, 2)]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert not len(command(small, tmp_path / "none.h5", "--shard=1/40"))  # more shards than rows
    for name in ("1.h5", "2.h5", "none.h5"):
        with h5py.File(tmp_path / name) as part, h5py.File(tmp_path / "whole.h5") as all_rows:
            np.testing.assert_array_equal(part["grid"], all_rows["grid"])


def test_goes_on_after_a_crash(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, features, done = command(small, tmp_path / "w.h5", "--batch=20"), workers.features, []

    def crash_once(scaled: np.ndarray, *rest: Any) -> np.ndarray:
        done.append(len(scaled))
        if len(done) == 2:
            raise KeyboardInterrupt
        return features(scaled, *rest)

    monkeypatch.setattr(workers, "features", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(small, tmp_path / "out.h5", "--batch=20")
    np.testing.assert_array_equal(command(small, tmp_path / "out.h5", "--batch=20"), whole)
    assert done == [20, 14, 14]  # the first 20 rows were computed once


def test_killed_with_two_workers_it_leaves_none_and_goes_on(small: Path, tmp_path: Path) -> None:
    whole, dst = command(small, tmp_path / "w.h5", "--batch=1"), tmp_path / "out.h5"
    flags = [f"--src={small}", f"--dst={dst}", "--bins=8", "--batch=1", "--jobs=2"]
    line = [sys.executable, "-m", "stages.tda.main", *flags]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        while not children(process.pid) or not dst.with_name("out.h5.partial").exists():
            assert process.poll() is None
            time.sleep(0.02)
        below = children(process.pid)
        process.send_signal(signal.SIGKILL)
    assert not dst.exists()
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in below):
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"still running: {below}")
    spread = command(small, dst, "--batch=1", "--jobs=2")
    np.testing.assert_array_equal(spread, whole)  # which one process made


def children(pid: int) -> list[int]:
    """Processes started by this one."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--modality=sen3"], "--modality: expected one of ['rgb', 'sen1', 'sen2'], found 'sen3'"),
        (["--modality=rgb"], "expected dataset 'rgb', found"),
        (["--bins=1"], "--bins: expected 2 to 200, found 1"),
        (["--sigma=0"], "--sigma: expected 0.01 to 100, found 0.0"),
        (["--jobs=-1"], "--jobs: expected 0 or more, found -1"),
        (["--sigm=9"], "no such flag; did you mean --sigma?"),
        (["--grid={src}"], "expected dataset 'grid', found"),
        (["--grid={grid}", "--sigma=0.7"], "expected a grid with sigma 0.7, found 0.5"),
        (["--grid={grid}", "--bins=9"], "expected a grid with bins 9, found 8"),
        (["--grid={grid}", "--essential=true"], "a grid with essential True, found False"),
        (["--grid={grid}", "--modality=sen1"], "expected a grid with modality sen1, found sen2"),
    ],
)
def test_refuses(
    small: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    aside = small.with_name("aside.h5")
    if any("{grid}" in flag for flag in flags):
        command(small, aside)
    before, names = sorted(small.parent.iterdir()), {"src": small, "grid": aside}
    with pytest.raises(SystemExit, match="2"):
        command(small, small.with_name("out.h5"), *[flag.format(**names) for flag in flags])
    assert message in capsys.readouterr().err
    assert sorted(small.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file["sen1"].write_direct(np.full((34, 12, 12, 8), np.nan)), "sen1: NaN"),
        (lambda file: file["label"].write_direct(np.ones((34, 17), np.uint8)), "not one-hot"),
        (lambda file: file["sen1"].attrs.__setitem__("bands", ["VH"]), "expected (N, H, W, 1)"),
    ],
)
def test_refuses_a_spoilt_file(
    small: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[h5py.File], None],
    message: str,
) -> None:
    with h5py.File(small, "r+") as file:
        spoil(file)
    with pytest.raises(SystemExit, match="2"):
        command(small, small.with_name("out.h5"), "--modality=sen1")
    assert message in capsys.readouterr().err
    assert [small] == list(small.parent.iterdir())


@pytest.mark.data
def test_real_patches(real: Path, tmp_path: Path) -> None:
    sen2 = np.load(real / "sentinel2" / "l2a_patches.npy", mmap_mode="r")[:8, :32, :32] / 1e4
    rows = pixels(8) | {"sen2": np.clip(sen2, 0, 2.8)}
    src = write_patches(tmp_path / "real.h5", rows)
    found = command(src, tmp_path / "out.h5").reshape(8, 10, 2, 8, 8)
    assert (found.astype(float).sum((3, 4)) > 0).all()  # every band of every patch has H0 and H1
