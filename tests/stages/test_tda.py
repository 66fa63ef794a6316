"""tda: diagrams by hand, properties, giotto-tda as oracle, one grid, shards, going on, refusals."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest

from shared import cli, lcz, patches
from shared.errors import StageError
from stages.demo import main as demo
from stages.tda import curves, diagrams, grids, images, settings, vectors
from stages.tda import main as stage
from stages.tda_plot import homology
from tests.conftest import pixels, write_patches

PEAK = np.pad([[9.0]], 2)  # 9 in the middle of 5 x 5 zeros
PIT = 9 - PEAK
RING = np.full((5, 5), 5.0)
RING[1:4, 1:4] = 1
RING[2, 2] = 7
DIAGONAL = np.full((5, 5), 8.0)  # two pits that touch at a corner, one that touches none
DIAGONAL[0, 0], DIAGONAL[1, 1], DIAGONAL[4, 4] = 1, 2, 3
BRIDGE = np.array(
    [
        [8, 8, 8, 8, 8],
        [8, 1, 1, 1, 8],
        [8, 1, 8, 6, 8],
        [8, 1, 6, 2, 8],
        [8, 8, 8, 8, 8],
    ],
    float,
)
EDGE = np.pad([[9.0]], ((0, 4), (2, 2)))
PAIR = np.zeros((5, 5))
PAIR[1, 1], PAIR[2, 2] = 9, 7

each_backend = pytest.mark.parametrize("backend", diagrams.BACKENDS)


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


def pairs(
    patch: np.ndarray, dimension: int, essential: bool = True, backend: str = "gudhi"
) -> list[tuple[float, float]]:
    """Sorted (birth, persistence) of one patch."""
    _, birth, persistence = diagrams.points(patch[None], essential, backend)[dimension]
    return sorted(zip(birth.tolist(), persistence.tolist(), strict=True))


def deaths(patch: np.ndarray, dimension: int, backend: str = "gudhi") -> list[tuple[float, float]]:
    """Sorted (birth, death) of one patch, without the essential class."""
    points = pairs(patch, dimension, False, backend)
    return sorted((birth, birth + persistence) for birth, persistence in points)


def textures(count: int, size: int = 16) -> np.ndarray:
    """(count, size, size) smooth, smooth + noise and noise in turn, 0 … 255."""
    rng, ramp = np.random.default_rng(3), np.linspace(0, 3, size)
    waves = 60 * np.sin(ramp[:, None] + np.arange(count)[:, None, None]) * np.cos(ramp) + 100
    noise = 20 * rng.standard_normal((count, size, size))
    kind = np.arange(count)[:, None, None] % 3
    return np.where(kind == 0, waves, np.where(kind == 1, waves + noise, 100 + noise))


@each_backend
@pytest.mark.parametrize(
    ("patch", "h0", "h1"),
    [
        (PEAK, [(0, 9)], [(0, 9)]),
        (PIT, [(0, 9)], []),
        (RING, [(1, 6)], [(1, 6)]),
        (DIAGONAL, [(1, 7), (3, 5)], []),  # eight neighbours: 1 and 2 are one component
        (BRIDGE, [(1, 7), (2, 4)], [(6, 2)]),  # the pit 2 joins at 6; there the ring closes, too
        (EDGE, [(0, 9)], []),  # a peak at the border is no hole: it is connected to the outside
        (PAIR, [(0, 9)], [(0, 7), (0, 9)]),  # peaks that touch at a corner are two holes
        (np.full((5, 5), 4.0), [], []),
    ],
)
def test_diagrams_made_by_hand(
    patch: np.ndarray, h0: list[object], h1: list[object], backend: str
) -> None:
    assert pairs(patch, 0, backend=backend) == h0
    assert pairs(patch, 1, backend=backend) == h1
    assert pairs(patch, 0, essential=False, backend=backend) == h0[1:]


@each_backend
def test_constant_added_shifts_births_and_monotone_scaling_maps_births_and_deaths(
    backend: str,
) -> None:
    patch = np.round(textures(3)[2])
    for dimension in (0, 1):
        shifted = [(b + 7, p) for b, p in pairs(patch, dimension, backend=backend)]
        assert pairs(patch + 7, dimension, backend=backend) == shifted
        cubed = [(b**3, d**3) for b, d in deaths(patch, dimension, backend)]  # whole numbers: exact
        assert deaths(patch**3, dimension, backend) == cubed


@each_backend
def test_turned_and_mirrored_patches_have_the_same_diagrams(backend: str) -> None:
    for patch in textures(3):
        for same in (np.rot90(patch), np.rot90(patch, 2), patch[::-1], patch.T):
            for dimension in (0, 1):
                assert pairs(same, dimension, backend=backend) == pairs(
                    patch, dimension, backend=backend
                )


@each_backend
def test_negation_swaps_the_dimensions(backend: str) -> None:
    """Holes of f are components of -f, where only pixels that share an edge are neighbours.

    On the doubled grid below two pixels are connected through an edge but never through a corner,
    so its 8-connected components are the patch's 4-connected ones; the frame stands for outside.
    """
    patch = np.round(textures(3)[2])
    framed = np.pad(-patch, 1, constant_values=-patch.max() - 1)
    large = np.full([2 * side - 1 for side in framed.shape], framed.max() + 1)
    large[::2, ::2] = framed
    large[1::2, ::2] = np.maximum(framed[1:], framed[:-1])
    large[::2, 1::2] = np.maximum(framed[:, 1:], framed[:, :-1])
    swapped = sorted((-death, -birth) for birth, death in deaths(large, 0, backend))
    assert swapped == deaths(patch, 1, backend) != []


@each_backend
def test_small_noise_moves_no_point_far(backend: str) -> None:
    """Stability (Cohen-Steiner et al. 2007): at most as far as the pixel that changed most."""
    from gudhi import bottleneck_distance

    for patch in textures(3):
        noise = np.random.default_rng(1).uniform(-0.5, 0.5, patch.shape)
        for dimension in (0, 1):
            before, after = (
                np.reshape(deaths(f, dimension, backend), (-1, 2)) for f in (patch, patch + noise)
            )
            assert bottleneck_distance(before, after) <= np.abs(noise).max() + 1e-9


@each_backend
def test_every_row_of_a_patch_counts(backend: str) -> None:
    patch = textures(3)[1]
    mixed = patch[[0, *np.random.default_rng(0).permutation(np.arange(1, 16))]]
    for dimension in (0, 1):
        points = [pairs(f, dimension, backend=backend) for f in (patch, mixed)]
        assert points[0] != points[1] != []


@pytest.mark.parametrize("shape", [(1, 7), (7, 2), (3, 3), (64, 64), (30, 41)])
def test_both_backends_find_the_same_points(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    for block in (rng.normal(100, 20, (4, *shape)), rng.integers(0, 6, (4, *shape)).astype(float)):
        for essential in (True, False):
            both = [diagrams.points(block, essential, b) for b in diagrams.BACKENDS]
            for ours, giotto in zip(*both, strict=True):
                np.testing.assert_array_equal(in_order(ours), in_order(giotto))


@pytest.mark.parametrize("dimension", [0, 1])
def test_equal_to_the_definition(dimension: Literal[0, 1]) -> None:
    """tda-plot computes a few diagrams pixel by pixel, without a library."""
    for patch in [*textures(3), *np.random.default_rng(2).integers(0, 5, (9, 7, 8)).astype(float)]:
        for essential in (True, False):
            points = homology.diagram(patch, dimension, essential)[:, :2].tolist()
            listed = sorted((birth, death - birth) for birth, death in points)
            assert listed == pairs(patch, dimension, essential)


def in_order(points: diagrams.Points) -> np.ndarray:
    """(3, M) patch, birth, persistence, sorted by all three."""
    table = np.stack(points)
    return table[:, np.lexsort(table[::-1])]


@each_backend
@pytest.mark.parametrize("essential", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equal_to_giotto_on_one_grid(essential: bool, backend: str) -> None:
    for band in textures(6):  # narrow grids, so that points lie beyond both ends
        points = diagrams.points(band[None], essential, backend)
        for dimension, axes in enumerate([[[60.0, 130.0], [0, 30]], [[80.0, 150.0], [0, 9]]]):
            ours = images.image(points[dimension], 1, np.array(axes), 30, 0.5)
            giotto = giotto_image(band, dimension, np.array(axes), essential)
            np.testing.assert_allclose(ours[0], giotto, rtol=1e-12, atol=1e-15)


def giotto_image(
    band: np.ndarray, dimension: int, axes: np.ndarray, essential: bool, bins: int = 30
) -> np.ndarray:
    """(bins, bins) by giotto-tda alone, from diagram to image, on given axes."""
    from gtda.diagrams import PersistenceImage
    from gtda.homology import CubicalPersistence

    diagram = CubicalPersistence(reduced_homology=not essential).fit_transform(band[None])
    oracle = PersistenceImage(sigma=0.5, n_bins=bins).fit(diagram)
    low, high = axes.T
    sampling, step = np.linspace(low, high, bins, retstep=True)
    oracle._samplings[dimension], oracle._step_size[dimension] = sampling, step
    return oracle.transform(diagram)[0, dimension]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["betti", "landscape", "silhouette"])
def test_curves_equal_to_giotto_on_one_grid(kind: str) -> None:
    from gtda.diagrams import BettiCurve, PersistenceLandscape, Silhouette
    from gtda.homology import CubicalPersistence

    oracles = {
        "betti": BettiCurve(n_bins=11),
        "landscape": PersistenceLandscape(n_layers=3, n_bins=11),
        "silhouette": Silhouette(power=2.0, n_bins=11),
    }
    setting = setting_of(bins=11, kind=kind, layers=3, power=2.0)
    axes = np.array([[70.0, 110.0], [0, 40]])
    for band in textures(3):
        giotto = CubicalPersistence().fit_transform(band[None])
        oracle = oracles[kind].fit(giotto)
        for dimension, points in enumerate(diagrams.points(band[None], essential=False)):
            oracle._samplings[dimension] = np.linspace(70, 150, 11)[:, None, None]
            ours = vectors.draw(points, 1, axes, setting)
            expected = oracle.transform(giotto).reshape(2, -1)[dimension]
            np.testing.assert_allclose(ours[0], expected, rtol=1e-9, atol=1e-12)


def test_curves_and_statistics_by_hand() -> None:
    """Two points, 0 … 4 and 2 … 4, of patch 1 of 2."""
    points = diagrams.Points(np.array([1, 1]), np.array([0.0, 2.0]), np.array([4.0, 2.0]))
    at = np.arange(5.0)
    assert curves.levels(np.array([[0.0, 2.0], [0.0, 2.0]]), 5).tolist() == at.tolist()
    assert curves.betti(points, 2, at).tolist() == [[0] * 5, [1, 1, 2, 2, 0]]
    assert curves.landscape(points, 2, at, 3)[1].tolist() == [
        [0, 1, 2, 1, 0],
        [0, 0, 0, 1, 0],
        [0] * 5,
    ]
    weighted = [0, 4 / 6, 8 / 6, 1, 0]
    expected = np.array([[0.0] * 5, weighted])
    np.testing.assert_allclose(curves.silhouette(points, 2, at, 1.0), expected)
    entropy = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    np.testing.assert_allclose(
        curves.statistics(points, 2), [[0] * 9, [2, entropy, 1, 1, 4, 0, 3, 1, 4]]
    )


def setting_of(bins: int = 30, **more: Any) -> settings.Setting:
    """One band, 0 … 255 as it is."""
    return settings.Setting("rgb", lcz.Layout(("B4",), 0, 255), bins, 0.5, False, **more)


def test_adding_a_constant_moves_the_image() -> None:
    """The grid is the same for all patches: how bright a patch is remains visible."""
    patch, table = np.round(textures(3)[2]), np.full((1, 2, 2, 2), [0.0, 255.0])
    before, after = (
        vectors.features(f[None, :, :, None], table, setting_of()) for f in (patch, patch + 9)
    )
    assert (before != after).any()


@pytest.mark.parametrize("kind", settings.KINDS)
@pytest.mark.parametrize("side", [16, 64, 96, 128])
def test_a_patch_has_the_same_bits_alone_and_among_others(kind: str, side: int) -> None:
    block = textures(72 if side == 16 else 3, side).astype(np.float32)[
        ..., None
    ]  # 72: two runs of CHUNK
    table = np.array([[[[60.0, 130.0], [0, 30]], [[80.0, 150.0], [0, 9]]]])
    whole = vectors.features(block, table, setting_of(kind=kind))
    for row in range(len(block)):
        alone = vectors.features(block[row : row + 1], table, setting_of(kind=kind))
        np.testing.assert_array_equal(alone[0], whole[row])


def test_half_rounds_as_numpy_does() -> None:
    every = np.arange(0x0400, 0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    between = (every[1:] + every[:-1]) / 2  # ties, and both sides of them
    values = np.concatenate([[0.0], every, between, between * (1 + 1e-6), between * (1 - 1e-6)])
    np.testing.assert_array_equal(vectors.to_half_precision(values), values.astype(np.float16))
    assert vectors.to_half_precision(np.array([1e-30, 2.0**-25, 6.0e-5])).tolist() == [0, 0, 0]


def test_image_of_one_point() -> None:
    """Birth 2 and persistence 6 on an axis of 0 … 8: column 2, sixth row from below."""
    axes = np.array([[0.0, 8.0], [0.0, 8.0]])
    point = diagrams.Points(np.array([1]), np.array([2.0]), np.array([6.0]))
    cell = images.image(point, 2, axes, 9, 0.1)
    assert cell.shape == (2, 9, 9)
    assert cell[1, 9 - 1 - 6, 2] == cell.sum() == 1
    outside = point._replace(birth=np.array([99.0]), persistence=np.array([99.0]))
    beyond = images.image(outside, 2, axes, 9, 0.1)
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
    setting = settings.Setting("rgb", lcz.RGB, 30, 0.5, True)
    birth, persistence = np.arange(1001.0), np.linspace(0, 200, 1001)
    np.testing.assert_allclose(grids.axes(birth, persistence, setting), [[5, 995], [0, 199]])
    alike = grids.axes(np.full(9, 40.0), np.full(9, 1.0), setting)
    np.testing.assert_allclose(alike, [[40, 40 + 29 / 8], [0, 29 / 8]])
    assert grids.axes(birth[:0], birth[:0], setting).tolist() == [[0, 255], [0, 255]]
    assert grids.space_rows(11, 3).tolist() == [0, 5, 10]
    assert grids.space_rows(3, 1000).tolist() == [0, 1, 2]


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
    features = command(small, tmp_path / "out.h5", "--modality=sen1")
    assert features.shape == (34, 8 * 2 * 64)
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
    whole, features, done = command(small, tmp_path / "w.h5", "--batch=20"), vectors.features, []

    def crash_once(block: np.ndarray, **rest: Any) -> np.ndarray:
        done.append(len(block))
        if len(done) == 2:
            raise KeyboardInterrupt
        return features(block, **rest)

    monkeypatch.setattr(vectors, "features", crash_once)
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
        (["--modality=sen3"], "--modality: expected sen1, sen2 or rgb, found 'sen3'"),
        (["--modality=rgb"], "expected dataset 'rgb', found"),
        (["--bins=1"], "--bins: expected 2 to 200, found 1"),
        (["--sigma=0"], "--sigma: expected 0.01 to 100, found 0.0"),
        (["--layers=0"], "--layers: expected 1 to 20, found 0"),
        (["--power=0"], "--power: expected 0.1 to 8, found 0.0"),
        (["--backend=ripser"], "--backend: expected gudhi or giotto, found 'ripser'"),
        (
            ["--features=heat"],
            "--features: expected image, landscape, silhouette, betti or stats, found 'heat'",
        ),
        (["--jobs=-1"], "--jobs: expected at least 0, found -1"),
        (["--sigm=9"], "no such flag; did you mean --sigma?"),
        (["--grid={src}"], "expected dataset 'grid', found"),
        (["--grid={grid}", "--sigma=0.7"], "expected a grid with sigma 0.7, found 0.5"),
        (["--grid={grid}", "--features=betti"], "expected a grid with kind betti, found image"),
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
        (
            lambda file: file["sen1"].write_direct(np.full((34, 12, 12, 8), -9.0, np.float16)),
            "sen1: VH looks like decibels (-9 to -9)",
        ),
        (lambda file: file["sen1"].attrs.__setitem__("clip", "no"), "expected true or false"),
        (
            lambda file: file["sen1"].attrs.__setitem__("bands", ["VH"]),
            "expected 8 different names",
        ),
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


def test_refuses_nan_after_the_first_rows_are_written(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a grid at hand no fit has read the rows before; the message has a line of its own."""
    flags = ("--modality=sen1", f"--grid={tmp_path / 'grid.h5'}", "--batch=4")
    command(small, tmp_path / "grid.h5", "--modality=sen1")
    with h5py.File(small, "r+") as file:
        file["sen1"][30, 0, 0, 0] = np.nan
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(small, small.with_name("out.h5"), *flags)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"error: {small}: sen1: NaN or infinite values in rows 30"
    assert [small] == list(small.parent.iterdir())


def test_refuses_a_grid_finer_than_any_fit_makes(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(small, tmp_path / "grid.h5")
    with h5py.File(tmp_path / "grid.h5", "r+") as file:
        file["grid"][3, 1, 0] = [5, 5 + 1e-9]
    (tmp_path / "grid.h5.run.json").unlink()  # with it, the change alone would be refused
    with pytest.raises(SystemExit, match="2"):
        command(small, small.with_name("out.h5"), f"--grid={tmp_path / 'grid.h5'}")
    assert "grid: expected axes of 0.875 or more, low to high" in capsys.readouterr().err
    assert [small] == list(small.parent.iterdir())


def test_every_modality_that_patch_files_know_can_be_chosen() -> None:
    parameters = {p.name: p for p in cli.read_signature(stage.run).parameters}
    assert {*parameters["modality"].choices} == {*lcz.PRESETS}


def test_refuses_numbers_beyond_float16() -> None:
    block = 1e6 * textures(3, 32).astype(np.float32)[..., None]
    table = np.full((1, 2, 2, 2), [0.0, 255.0])
    with pytest.raises(StageError, match=r"stats: expected at most 65504, .*, found [0-9.e+]+$"):
        vectors.features(block, table, setting_of(kind="stats"))
    table[..., 1] = 0.002  # all points in the cells of a grid of that size
    setting = settings.Setting("rgb", lcz.Layout(("B4",), 0, 255), 8, 0.01, False)
    with pytest.raises(StageError, match=r"image: expected at most .*; a larger --sigma"):
        vectors.features(block, table, setting)


def check_product(src: Path, rows: int, tmp_path: Path) -> None:
    """What both backends write is giotto-tda's image of each band, rounded to float16."""
    made = command(src, tmp_path / "out.h5").reshape(rows, 10, 2, 8, 8)
    flags = ("--backend=giotto", f"--grid={tmp_path / 'out.h5'}")
    np.testing.assert_array_equal(
        command(src, tmp_path / "giotto.h5", *flags), made.reshape(rows, -1)
    )
    with h5py.File(tmp_path / "out.h5") as file, patches.read(src, "sen2") as source:
        scaled = lcz.SEN2.scale(source["sen2"][slice(None)].astype(np.float64))
        for row, band, dimension in np.ndindex(rows, 10, 2):
            axes = file["grid"][band, dimension]
            giotto = giotto_image(scaled[row, :, :, band], dimension, axes, False, bins=8)
            np.testing.assert_allclose(made[row, band, dimension], giotto, rtol=1e-3, atol=6.2e-5)
    assert (made.astype(float).sum((3, 4)) > 0).all()  # each band of each patch has H0 and H1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_demo_patches_have_giottos_features(tmp_path: Path) -> None:
    scenes = [demo.patch(zone, zone, 42, 0) for zone in (0, 7, 11, 13)]
    rows = {name: np.stack([scene[name] for scene in scenes]) for name in scenes[0]}
    check_product(write_patches(tmp_path / "demo.h5", rows), 4, tmp_path)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("side", [32, 64])
def test_real_patches_have_giottos_features(real: Path, tmp_path: Path, side: int) -> None:
    stored = np.load(real / "sentinel2" / "l2a_patches.npy", mmap_mode="r")[::56, :side, :side]
    rows = pixels(4) | {"sen2": np.clip(stored / 1e4, 0, 2.8)}
    check_product(write_patches(tmp_path / "real.h5", rows), 4, tmp_path)
