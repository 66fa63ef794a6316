"""city: the plan by hand, tiles that fit together, patches as demo makes them, stops, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import cli, scenes
from stages.city import main as stage

SMALL = ("--size=260", "--district=52")  # two blocks of rows, 25 districts


def command(dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--dst={dst}", *flags])
    return dst


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(tmp_path_factory.mktemp("city") / "scene.h5", *SMALL)


def a_city(step: int = 52, size: int = 260) -> Any:
    from stages.city.plan import Plan
    from stages.city.tiles import City

    return City(Plan(42, 0, size, step))


def test_is_a_scene_of_all_zones_on_a_grid(made: Path) -> None:
    with scenes.open_scene(made) as scene:
        assert scene.shape == (260, 260)
        assert (scene.header.level, scene.header.masked) == ("simulated", False)
        assert (scene.grid.epsg, scene.grid.pixel) == (32632, (10.0, 10.0))
        truth = scene.truth(0, 0, 260, 260)
        assert np.unique(truth).tolist() == list(range(1, 18))
        shares = np.bincount(truth.ravel(), minlength=18)[1:] / truth.size
        assert 0.02 < shares.min() < shares.max() < 0.16  # one or two of 25 districts
        assert scene.valid(0, 0, 260, 260).all()
        water = scene.window(0, 0, 260, 260)[truth == 17]
        assert np.median(water[:, 9]) < 0.05 < np.median(water[:, 0])  # B12 dark, B2 hazy


def test_truth_is_the_nearest_district_by_hand(made: Path) -> None:
    plan = a_city().plan
    districts = [(i, j) for i in range(-2, 8) for j in range(-2, 8)]
    centres = np.array([plan.centre(district) for district in districts])
    with scenes.open_scene(made) as scene:
        truth = scene.truth(0, 0, 260, 260)
    for row, column in np.random.default_rng(0).integers(0, 260, (200, 2)):
        at = np.array([4.0 * row + 2.5]), np.array([4.0 * column + 2.5])
        bent = plan.bend(*at)[:, 0, 0]
        assert np.abs(bent - (at[0][0], at[1][0])).max() <= 0.08 * 52 * 4
        nearest = districts[int(((centres - bent) ** 2).sum(1).argmin())]
        assert truth[row, column] == plan.zone(nearest) + 1


def test_every_seventeen_districts_have_every_zone() -> None:
    plan = a_city(64, 64 * 12).plan
    zones = [plan.zone((i, j)) for i in range(12) for j in range(12)]
    for first in range(0, 144 - 17, 17):
        assert sorted(zones[first : first + 17]) == list(range(17))
    assert plan.zone((-1, 3)) == plan.zone((0, 3))  # beyond the scene as at its edge


def test_streets_are_as_wide_as_their_sides_want() -> None:
    """Two centres 400 cells apart; a cell is 2.5 m, so 8 m on either side are 3 cells each."""
    plan = a_city().plan
    at = np.arange(400) + 0.5
    near = np.stack([np.minimum(at, 400 - at) ** 2, np.maximum(at, 400 - at) ** 2])[:, None]
    first = (at > 200).astype(np.intp)
    owner = np.stack([first, 1 - first])[:, None]
    for built, cells in ((2, 6), (1, 4), (0, 0)):
        zones = {(0, 0): 0 if built else 16, (0, 1): 0 if built == 2 else 16}

        class Flat(type(plan)):  # type: ignore[misc]
            def centre(self, district: tuple[int, int]) -> np.ndarray:
                return np.array([0.0, 400.0 * district[1]])

            def zone(self, district: tuple[int, int]) -> int:
                return zones[district]  # noqa: B023

        street = Flat(42, 0, 260, 52)._streets(list(zones), near, owner)
        assert int(street.sum()) == cells
        assert not cells or street[0, 200 - cells // 2 : 200 + cells // 2].all()


def test_a_tile_is_the_same_whichever_others_are_drawn() -> None:
    pixels, zones = a_city().tile(0, 64, 128)
    part, inner = a_city().tile(64, 128, 64)
    np.testing.assert_array_equal(part, pixels[64:, 64:])
    np.testing.assert_array_equal(inner, zones[64:, 64:])


def test_patches_inside_a_district_look_like_those_of_demo(made: Path) -> None:
    """The zone of a window is told by patches that the recipes of demo give for the same city."""
    from shared import landscape

    city = a_city()
    rng = np.random.default_rng(1)
    known, zones = [], np.arange(17 * 6) % 17
    for zone in zones:
        ground = landscape.cover(landscape.ZONES[zone], city.habits, rng)
        known.append(landscape.sen2(ground, city.habits, rng))
    seen, truth = [], []
    with scenes.open_scene(made) as scene:
        for district in [(i, j) for i in range(5) for j in range(5)]:
            row, column = (int(part / 4) - 16 for part in city.plan.centre(district))
            if 0 <= row <= 228 and 0 <= column <= 228:
                seen.append(scene.window(row, column, 32, 32))
                truth.append(city.plan.zone(district))
    train, test = (
        np.hstack([np.stack(p).mean((1, 2)), np.stack(p).std((1, 2))]) for p in (known, seen)
    )
    mean, spread = train.mean(0), train.std(0)
    far = ((((test - mean) / spread)[:, None] - (train - mean) / spread) ** 2).sum(-1)
    assert (zones[far.argmin(1)] == truth).mean() > 0.5  # chance is 0.06
    assert np.sqrt(far.min(1)).max() < 4  # of twenty numbers, in deviations


def test_the_seed_and_the_number_decide() -> None:
    from stages.city.plan import Plan
    from stages.city.tiles import City

    tiles = [City(Plan(*key, 64, 64)).tile(0, 0, 64)[0] for key in ((42, 0), (43, 0), (42, 1))]
    assert not np.array_equal(tiles[0], tiles[1])
    assert not np.array_equal(tiles[0], tiles[2])


def test_goes_on_after_a_crash(made: Path, tmp_path: Path, monkeypatch: Any) -> None:
    block, done = stage.block, []

    def crash_once(city: Any, window: scenes.Window) -> Any:
        done.append(window.top)
        if len(done) == 2:
            raise KeyboardInterrupt
        return block(city, window)

    monkeypatch.setattr(stage, "block", crash_once)
    dst = tmp_path / "scene.h5"
    with pytest.raises(SystemExit, match="130"):
        command(dst, *SMALL)
    command(dst, *SMALL)
    assert done == [0, 256, 256]
    assert dst.read_bytes() == made.read_bytes()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--size=63", "--size: expected 64 to 20000, found 63"),
        ("--district=39", "--district: expected 40 to 256, found 39"),
        ("--number=41", "--number: expected 0 to 40, found 41"),
        ("--sed=1", "did you mean --seed?"),
    ],
)
def test_refuses(tmp_path: Path, flag: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "scene.h5", flag)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # nothing left behind
