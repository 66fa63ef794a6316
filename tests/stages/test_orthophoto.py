"""orthophoto: layout as published, masks by hand, physics, resolution, stops, refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import cli
from stages.orthophoto import main as stage
from tests import land_values

SMALL = ("--images=3", "--size=600")


def command(dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--dst={dst}", *flags])
    return dst


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(tmp_path_factory.mktemp("made") / "aerial", *SMALL)


def test_is_laid_out_as_published(made: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    names = [f"ortho-00{n}" for n in (1, 2, 3)]
    folders = {f"{kind}/{name}.tif" for kind in ("images", "masks") for name in names}
    assert content(made).keys() == folders | {"train.txt", "val.txt", "test.txt"}
    for split, name in zip(("train", "val", "test"), names, strict=True):
        assert (made / f"{split}.txt").read_text() == f"{name}_0\n"  # of 2 x 2, one is whole
    for kind, bands in (("images", 3), ("masks", 1)):
        with rasterio.open(made / kind / "ortho-002.tif") as file:
            assert (file.count, file.dtypes[0], file.shape) == (bands, "uint8", (600, 600))
            assert file.crs.to_epsg() == 2180
            assert file.transform[:6] == (0.5, 0, 510_000, 0, -0.5, 600_000)


def test_landcover_reads_it(made: Path, tmp_path: Path) -> None:
    from stages.landcover import main as landcover

    cli.main(landcover.run, [f"--src={made}", f"--dst={tmp_path / 'tiles'}", "--edges=pad"])
    assert sorted(path.name for path in (tmp_path / "tiles").iterdir()) == [
        "statistics.json", "testing.h5", "training.h5", "validation.h5",
    ]  # fmt: skip


def test_pictures_are_those_that_published_figures_are_of() -> None:
    land_values.compare(land_values.measure_pictures())


def test_lists_hold_every_whole_tile_once() -> None:
    from stages.orthophoto import files

    names = [str(n) for n in range(20)]
    lists = {name: text.split() for name, text in files.list_tiles(names, 1100)}
    every = sorted(line for lines in lists.values() for line in lines)
    assert every == sorted(f"{name}_{k}" for name in names for k in (0, 1, 3, 4))
    counts = {name: len(lines) / 4 for name, lines in lists.items()}
    assert counts == {"train.txt": 14, "val.txt": 3, "test.txt": 3}
    parts = [{line.partition("_")[0] for line in lines} for lines in lists.values()]
    assert sum(map(len, parts)) == 20  # no picture is in two


def flat(cells: int) -> Any:
    """Land of grass."""
    from shared import landscape

    shape = (cells, cells)
    grass = np.full(shape, landscape.CODE["grass"], np.uint8)
    no = [np.zeros(shape, bool) for _ in range(2)]
    return landscape.Land(grass, np.zeros(shape), np.ones(shape), *no)


def test_the_mask_is_what_is_seen_from_above() -> None:
    from shared.landscape import CODE
    from stages.orthophoto.land import classify

    land = flat(4)
    land.street[1] = True
    land.material[1, 0] = CODE["asphalt"]
    land.material[1, 3] = CODE["tree"]  # a crown above a road
    land.material[2] = CODE["water"]
    land.material[3, :2] = CODE["conifer"]
    land.wall[3, 1:3] = True
    assert classify(land).tolist() == [[0] * 4, [4, 4, 4, 2], [3] * 4, [2, 1, 1, 0]]


def test_houses_that_water_would_cut_are_gone_as_a_whole() -> None:
    from shared.landscape import find_cut

    wall, inside = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    wall[1:3, 1:4], wall[5:7, 1:4], wall[1:3, 6:8] = True, True, True
    inside[:, 0], inside[6, 3] = False, False
    expected = np.zeros((8, 8), bool)
    expected[5:7, 1:4] = True
    np.testing.assert_array_equal(find_cut(wall, inside), expected)


@pytest.mark.parametrize("seed", range(5))
def test_a_road_is_as_wide_as_asked(seed: int) -> None:
    """The furthest that a place in it has to its edge is half its width."""
    from scipy import ndimage

    from shared.landscape import cross

    band = cross(np.random.default_rng(seed), 400, 0.5, 10.0)
    within = ndimage.distance_transform_edt(band)[20:-20, 20:-20] * 0.5
    assert 4.0 < np.median(within.max(0)[within.max(0) > 0]) < 6.0
    assert band.any()


def test_a_material_has_its_colour_in_sun_and_shade() -> None:
    """Water in the sun, by hand: reflectance to levels; shade takes most light off, red most."""
    import dataclasses

    from shared import landscape
    from stages.orthophoto import camera

    rng = np.random.default_rng(0)
    city = dataclasses.replace(landscape.draw_city(rng), sun=(np.pi, np.pi / 4))
    land = flat(200)
    land.material[:] = landscape.CODE["water"]
    land.wall[100, 40:160], land.height[100, 40:160] = True, 20.0
    picture = camera.photograph(land, city, rng, 0.5).astype(float)
    water = city.surface[landscape.CODE["water"]][[2, 1, 0]]
    sun = 255 * (water / 0.38) ** (1 / 1.7)
    np.testing.assert_allclose(picture[120:180, 60:140].mean((0, 1)), sun, atol=1.0)
    shade = 255 * (water * landscape.SKYLIGHT[[2, 1, 0]] / 0.38) ** (1 / 1.7)
    np.testing.assert_allclose(picture[65:95, 60:140].mean((0, 1)), shade, atol=1.5)
    np.testing.assert_allclose(picture[:55, 60:140].mean((0, 1)), sun, atol=1.0)  # 20 m end at 60


def test_finer_cells_show_the_same_land() -> None:
    from shared import landscape

    coarse, fine = (
        landscape.noise(np.random.default_rng(3), 20, cells, cell)
        for cells, cell in ((200, 0.5), (400, 0.25))
    )
    np.testing.assert_allclose(fine[::2, ::2], coarse, atol=1e-12)
    city = landscape.draw_city(np.random.default_rng(1))
    zone = landscape.ZONES[5]
    one, two = (
        landscape.lay_out(zone, city, np.random.default_rng(2), cells, cell)[0]
        for cells, cell in ((200, 0.5), (400, 0.25))
    )
    assert (two.wall[::2, ::2] == one.wall).mean() > 0.97
    assert 0.1 < one.wall.mean() < 0.6


def test_every_class_is_in_the_default_training_pictures() -> None:
    """Of the first four of the default, each class has its share."""
    from shared import landscape
    from stages.orthophoto import land

    counts = np.zeros(5)
    for number in range(4):
        rng = np.random.default_rng((42, stage.SPLIT, number))
        city = landscape.draw_city(rng)
        counts += np.bincount(
            land.classify(landscape.draw_land(city, rng, 768, 0.5)).ravel(), minlength=5
        )
    shares = counts / counts.sum()
    assert shares.min() > 0.005
    assert shares[0] < 0.8


def test_pictures_depend_on_seed_and_number_alone(made: Path, tmp_path: Path) -> None:
    again = content(command(tmp_path / "again", *SMALL))
    assert again == content(made)
    more = content(command(tmp_path / "more", "--images=4", "--size=600"))
    assert more["images/ortho-003.tif"] == again["images/ortho-003.tif"]
    other = content(command(tmp_path / "other", *SMALL, "--seed=1"))
    assert not {n for n in other if n.endswith(".tif") and other[n] == again[n]}


def test_goes_on_after_a_crash(made: Path, tmp_path: Path, monkeypatch: Any) -> None:
    draw, done = stage.draw, []

    def crash_once(seed: int, number: int, *rest: Any) -> Any:
        done.append(number)
        if len(done) == 2:
            raise KeyboardInterrupt
        return draw(seed, number, *rest)

    monkeypatch.setattr(stage, "draw", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(tmp_path / "out", *SMALL)
    command(tmp_path / "out", *SMALL)
    assert done == [0, 1, 1, 2]
    assert content(tmp_path / "out") == content(made)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--images=2", "--images: expected 3 to 400, found 2"),
        ("--size=511", "--size: expected 512 to 3072, found 511"),
        ("--resolution=1", "--resolution: expected 0.25 to 0.5, found 1"),
        ("--sed=1", "did you mean --seed?"),
    ],
)
def test_refuses(tmp_path: Path, flag: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "out", flag)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # nothing left behind
