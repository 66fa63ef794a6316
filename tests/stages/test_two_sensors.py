"""two-sensors: MTFs, warp and brightness by hand, the truth against what was drawn, stops."""

import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import cli
from stages.two_sensors import main as stage

SMALL = ("--sites=3", "--patches=2", "--size=64")


def command(dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--dst={dst}", *flags])
    return dst


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return command(tmp_path_factory.mktemp("made") / "two", *SMALL)


def read(site: Path, number: int, column: str) -> np.ndarray:
    """(H, W, C) of a patch, by the path in the table as Sen2Venµs' readers take it."""
    rasterio = pytest.importorskip("rasterio")
    with (site / "index.csv").open(newline="") as file:
        row = list(csv.DictReader(file, delimiter="\t"))[number]
    with rasterio.open(f"/vsizip/{site}/{row[column]}") as raster:
        return np.moveaxis(raster.read(), 0, -1)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- layout ---------------------------------------------------------------------------------------
def test_is_laid_out_as_published(made: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    assert sorted(path.name for path in made.iterdir()) == ["DRAWN-001", "DRAWN-002", "DRAWN-003"]
    site = made / "DRAWN-002"
    sizes = {
        "b2b3b4b8_10m": (64, 64, 4), "b2b3b4b8_05m": (128, 128, 4), "b5b6b7b8a_20m": (32, 32, 4),
        "b5b6b7b8a_05m": (128, 128, 4), "b11b12_20m": (32, 32, 2),
        "truth_b11b12_05m": (128, 128, 2), "flow_20m": (32, 32, 2), "gain_10m": (64, 64, 8),
    }  # fmt: skip
    for column, shape in sizes.items():
        pixels = read(site, 1, column)
        assert pixels.shape == shape
        assert pixels.dtype == (np.int16 if column[0] in "bt" else np.float32)
    name = "DRAWN-002_2020-06-15_31UES_b2b3b4b8_05m"
    with zipfile.ZipFile(site / f"{name}.zip") as archive:
        members = archive.namelist()
    assert members == [f"DRAWN-002_{k}_2020-06-15_31UES_b2b3b4b8_05m.tif" for k in range(2)]
    with rasterio.open(f"/vsizip/{site}/{name}.zip/{members[1]}") as file:
        assert file.crs.to_epsg() == 32631
        assert file.bounds == (400_600, 5_689_360, 401_240, 5_690_000)


# --- what is drawn --------------------------------------------------------------------------------
@pytest.mark.parametrize("column", ["b2b3b4b8_05m", "b5b6b7b8a_05m"])
def test_flow_and_brightness_lead_back_to_the_truth(made: Path, column: str) -> None:
    """Sampled at place + flow and set right, the fine image is the truth but for its noise."""
    from scipy import ndimage

    errors, wrong = [], []
    for number in range(2):
        site = made / "DRAWN-001"
        high, truth = (read(site, number, c) / 1e4 for c in (column, f"truth_{column}"))
        bands = slice(0, 4) if column.startswith("b2") else slice(4, 8)
        gain, offset = (read(site, number, f"{f}_10m")[..., bands] for f in ("gain", "offset"))
        fields = [ndimage.zoom(f, (2, 2, 1), order=3, grid_mode=True, mode="nearest")
                  for f in (gain, offset, read(site, number, "flow_10m"))]  # fmt: skip
        right = (high - fields[1]) / fields[0]
        place = np.moveaxis(np.indices(truth.shape[:2]), 0, -1) + fields[2] / 5
        for band in range(4):
            moved = ndimage.map_coordinates(right[..., band], np.moveaxis(place, -1, 0), order=3)
            inside = (slice(8, -8), slice(8, -8))
            errors.append(np.sqrt(np.mean((moved - truth[..., band])[inside] ** 2)))
            wrong.append(np.sqrt(np.mean((high - truth)[inside][..., band] ** 2)))
    assert np.mean(errors) < 0.004  # noise of 0.0008 + 0.6 %, and the interpolation
    assert np.mean(wrong) > 4 * np.mean(errors)


def test_without_warp_brightness_and_noise_the_fine_image_is_the_truth(tmp_path: Path) -> None:
    flags = ("--warp=0", "--radiometry=0", "--noise=0", "--sites=3", "--patches=1", "--size=32")
    site = command(tmp_path / "two", *flags) / "DRAWN-003"
    for group in ("b2b3b4b8", "b5b6b7b8a"):
        np.testing.assert_array_equal(
            read(site, 0, f"{group}_05m"), read(site, 0, f"truth_{group}_05m")
        )
    assert not read(site, 0, "flow_10m").any()
    assert (read(site, 0, "gain_20m") == 1).all()


def test_warps_reach_no_further_than_asked() -> None:
    from stages.two_sensors import distortion

    place = np.stack(np.meshgrid(*[np.arange(0, 1280, 20.0)] * 2, indexing="ij"), -1)
    longest = []
    for seed in range(20):
        warp = distortion.draw_warp(np.random.default_rng(seed), 15.0, 1280.0)
        flow = warp.flow(place)
        longest.append(np.linalg.norm(flow, axis=-1).max())
        np.testing.assert_allclose(warp.origin(place + flow), place, atol=1e-3)
    assert max(longest) <= 15
    assert np.mean(longest) > 5
    far = distortion.draw_warp(np.random.default_rng(0), 30.0, 1280.0)
    np.testing.assert_allclose(far.origin(place + far.flow(place)), place, atol=1e-3)


def test_brightness_stays_within_what_is_asked() -> None:
    from stages.two_sensors import distortion

    place = np.stack(np.meshgrid(*[np.arange(0, 1280, 20.0)] * 2, indexing="ij"), -1)
    gains, offsets = [], []
    for seed in range(20):
        field = distortion.draw_radiometry(np.random.default_rng(seed), 0.1, 8)
        gains.append(np.abs(field.gain(place) - 1).max())
        offsets.append(np.abs(field.offset(place)).max())
    assert 0.05 < max(gains) <= 0.1
    assert 0.005 < max(offsets) <= 0.01


@pytest.mark.parametrize(("column", "band", "mtf"), [
    ("b2b3b4b8_10m", 0, 0.304), ("b2b3b4b8_10m", 3, 0.222),
    ("b5b6b7b8a_20m", 0, 0.343), ("b11b12_20m", 1, 0.19),
])  # fmt: skip
def test_each_band_has_its_mtf(column: str, band: int, mtf: float) -> None:
    """Stripes of two pixels a period, with crests on pixel centres, keep `mtf` of their height."""
    from stages.two_sensors.ground import CELL, MARGIN
    from stages.two_sensors.sensors import Sensors

    sensors, metres = Sensors(32, 0.3, 0.0), float(column[-3:-1])
    place = (np.arange(round(320 / CELL) + 2 * MARGIN) - MARGIN + 0.5) * CELL
    stripes = 0.3 + 0.1 * np.cos(np.pi * (place / metres - 0.5))
    land = np.broadcast_to(stripes[:, None, None], (len(place), len(place), 10))
    seen = sensors.see_coarse(land, column, np.random.default_rng(0))[..., band]
    swing = (seen[2:-2:2].mean() - seen[3:-2:2].mean()) / 2
    assert swing == pytest.approx(1000 * mtf, abs=4)


def test_the_fine_sensor_has_the_mtf_that_is_asked_for() -> None:
    from stages.two_sensors.ground import CELL, MARGIN
    from stages.two_sensors.sensors import FINE, Sensors

    sensors = Sensors(32, 0.3, 0.0)
    place = (np.arange(round(320 / CELL) + 2 * MARGIN) - MARGIN + 0.5) * CELL
    # A period of four pixels: at half the Nyquist frequency a Gaussian lets mtf ** (1 / 4) through.
    stripes = 0.3 + 0.1 * np.cos(np.pi * place / (2 * FINE))
    land = np.broadcast_to(stripes[:, None, None], (len(place), len(place), 10))
    seen = sensors.see_fine(land, ("B8",)).at(sensors.centres(FINE))[8:-8, 8:-8, 0]
    expected = np.sqrt(2) * seen.std()
    assert expected == pytest.approx(0.1 * 0.3**0.25, rel=0.02)


def test_noise_is_as_large_as_asked() -> None:
    from stages.two_sensors.sensors import Sensors

    flat = np.full((100, 100, 1), 0.2)
    stored = Sensors(32, 0.3, 2.0).store(flat, np.random.default_rng(0))
    assert stored.std() == pytest.approx(2 * (0.0008 + 0.006 * 0.2) * 1e4, rel=0.03)
    assert (Sensors(32, 0.3, 2.0).store(flat, None) == 2000).all()


# --- runs -----------------------------------------------------------------------------------------
def test_goes_on_after_a_crash(made: Path, tmp_path: Path, monkeypatch: Any) -> None:
    draw, done = stage.draw_site, []

    def crash_once(sensors: Any, seed: int, site: int, patches: int, **rest: Any) -> Any:
        done.append(site)
        for number, patch in enumerate(draw(sensors, seed, site, patches, **rest)):
            if len(done) == 2 and number == 1:
                raise KeyboardInterrupt
            yield patch

    monkeypatch.setattr(stage, "draw_site", crash_once)
    with pytest.raises(SystemExit, match="130"):
        command(tmp_path / "two", *SMALL)
    command(tmp_path / "two", *SMALL)
    assert done == [0, 1, 1, 2]
    assert content(tmp_path / "two") == content(made)


def test_another_seed_gives_another_land(made: Path, tmp_path: Path) -> None:
    other = command(tmp_path / "two", *SMALL, "--seed=7")
    one, two = (read(folder / "DRAWN-001", 0, "b2b3b4b8_10m") for folder in (made, other))
    assert (one != two).mean() > 0.9
    sites = [read(made / f"DRAWN-00{k}", 0, "b2b3b4b8_10m") for k in (1, 2)]
    assert (sites[0] != sites[1]).mean() > 0.9


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--size=33", "--size: expected an even number, as 20 m bands need, found 33"),
        ("--sites=2", "--sites: expected 3 to 200, found 2"),
        ("--warp=4", "--warp: expected 0 to 3, found 4"),
    ],
)
def test_refuses(tmp_path: Path, flag: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(tmp_path / "two", flag)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
