"""Values in wrong units are refused by most of them; bright, dark and odd ones are data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import lcz, patches
from shared.errors import StageError
from shared.patches import explain_wrong_units, thin_out
from shared.patches.units import _tell
from tests.conftest import ROWS, pixels, write_patches, write_raw

SEN2 = dataclasses.replace(lcz.SEN2, per_unit=1.0)
RADAR = pixels(ROWS)["sen1"] ** 2
RGB = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3))
DARK = np.full((4, 32, 32, 10), -0.05)  # over water, after the offset of a processing baseline


def decibels(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(power + 1e-3))


def explain(values: np.ndarray, name: str) -> str:
    layout = {"sen1": lcz.SEN1, "sen2": SEN2, "rgb": lcz.RGB}[name]
    return explain_wrong_units(thin_out(values), name, layout)


WRONG: list[tuple[str, np.ndarray, str]] = [
    ("sen2", np.round(pixels(4)["sen2"] * 1e4), "divide by 10,000, or `prepare --scale 1e-4`"),
    (
        "sen2",
        np.full((4, 32, 32, 10), 9000),
        "sen2 looks like digital numbers (values up to 9,000)",
    ),
    ("sen2", pixels(4)["sen2"] * 1e2, "expected values of 0 … 2.8, found"),
    ("sen2", np.full((4, 32, 32, 10), -9999.0), "found -9,999 to -9,999: marks of missing data"),
    ("sen2", np.full((4, 8, 8, 10), 9000), "looks like digital numbers"),
    ("sen2", np.full((1, 1, 1, 10), 9000), "looks like digital numbers"),
    ("sen1", decibels(RADAR), "sen1: VH looks like decibels (-30 to"),
    ("sen1", np.full((4, 32, 32, 8), -9999.0), "VH: expected intensities, 0 or more, found -9,999"),
    ("sen1", RADAR + 150, "sen1: VH looks like digital numbers (150 to"),
    ("rgb", RGB / 255, "rgb looks like fractions (0"),
    ("rgb", RGB * 257, "rgb: expected values of 0 … 255, found"),
]


@pytest.mark.parametrize(("name", "values", "message"), WRONG)
def test_wrong_units_are_explained(name: str, values: np.ndarray, message: str) -> None:
    assert message in explain(values, name)
    assert message in explain(np.concatenate([values, values[:1] * np.nan]), name)


def with_decibels(bands: list[int]) -> np.ndarray:
    values = RADAR.copy()
    values[..., bands] = decibels(values[..., bands])
    return values


def spoilt(share: float) -> np.ndarray:
    """Reflectance of which this share of the patches is missing."""
    sen2 = pixels(20)["sen2"]
    sen2[: round(20 * share)] = -9999
    return sen2


RIGHT: list[tuple[str, np.ndarray]] = [
    ("sen2", pixels(ROWS)["sen2"]),
    ("sen2", np.full((1, 32, 32, 10), 2.8)),  # the brightest that So2Sat has, everywhere
    ("sen2", np.full((1, 32, 32, 10), 2.8, np.float32)),
    ("sen2", np.zeros((1, 32, 32, 10))),
    ("sen2", DARK),
    ("sen2", spoilt(0.5)),  # prepare names the rows
    ("sen2", np.zeros((0, 32, 32, 10))),
    ("sen2", pixels(4)["sen2"] * np.nan),  # as the check for NaN says better
    ("sen1", pixels(ROWS)["sen1"]),
    ("sen1", RADAR * 1e3),  # a bright city
    ("sen1", with_decibels([0, 1, 2, 3, 6, 7])),  # parts may be negative
    ("sen1", np.zeros((1, 32, 32, 8))),
    ("rgb", RGB),
    ("rgb", np.zeros((1, 64, 64, 3))),
    ("rgb", np.ones((1, 64, 64, 3), np.uint8)),
]


@pytest.mark.parametrize(("name", "values"), RIGHT)
def test_data_are_not_taken_for_wrong_units(name: str, values: np.ndarray) -> None:
    assert explain(values, name) == ""


def test_one_pixel_never_decides() -> None:
    for value in (-9999.0, 9000.0):
        values = pixels(1)["sen2"]
        values[0, ::2, 0] = value
        assert explain(values, "sen2") == ""


def test_one_band_in_decibels_is_enough() -> None:
    assert "VV looks like decibels" in explain(with_decibels([5]), "sen1")


@pytest.mark.parametrize(
    ("factor", "offset", "message"),
    [
        (1e4, 0.0, "sen2: B11 looks like digital numbers (values up to "),
        (0.0, -9999.0, "sen2: B11: expected values of 0 … 2.8, found -9,999 to -9,999: marks of"),
        (30.0, 3.0, "sen2: B11: expected values of 0 … 2.8, found"),
    ],
)
def test_one_band_of_reflectance_is_enough(factor: float, offset: float, message: str) -> None:
    sen2 = pixels(4)["sen2"]
    sen2[..., 8] = sen2[..., 8] * factor + offset
    assert message in explain(sen2, "sen2")


def test_rows_in_the_middle_of_a_file_are_named(tmp_path: Path) -> None:
    sen2 = pixels(34)["sen2"]
    sen2[20:25] = -9999.0
    path = write_raw(tmp_path / "a.h5", {"sen2": sen2})
    with patches.read(path, "sen2") as source:
        source["sen2"][0:20]
        with pytest.raises(StageError, match=r"a.h5: rows 20, 21, 22, 23: sen2: .*missing data"):
            source["sen2"][20:24]


def test_real_patches_one_by_one(real: Path) -> None:
    """Every patch by itself, as some stages read them: reflectance passes, its numbers do not."""
    numbers = np.load(real / "sentinel2" / "l2a_patches.npy").astype(float)
    bands = [1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    clouds = np.load(real / "sentinel2" / "l1c_eolearn_scenes.npy")[..., bands].astype(float)
    for scene in (*numbers[:, :32, :32], *clouds[:, :96, :96]):
        assert explain(scene[None] / 1e4, "sen2") == ""
        assert "digital numbers" in explain(scene[None], "sen2")
    water = np.load(real / "sentinel2" / "l2a_porto_trombetas.npy")[..., [1, 2, 3, 4, 5, 6, 7, 8]]
    river = dataclasses.replace(SEN2, bands=SEN2.bands[:8])
    assert explain_wrong_units((water[None] - 1000.0) / 1e4, "sen2", river) == ""
    for file in sorted((real / "bigearthnet").glob("*.npz")):
        radar = np.load(file)["s1"].astype(float)[None]
        layout = lcz.Layout(("VV", "VH"), -0.5, 0.5, clip=True)
        assert "decibels" in explain_wrong_units(radar, "sen1", layout)
        assert explain_wrong_units(10 ** (radar / 10), "sen1", layout) == ""


# --- every reader comes by the check --------------------------------------------------------------
def forget_the_unit(file: h5py.File) -> None:
    file["sen2"].attrs["per_unit"] = 1.0


FOREIGN: dict[str, Callable[[Path], Path]] = {
    "as distributed": lambda path: write_raw(
        path, pixels(4) | {"sen2": np.round(pixels(4)["sen2"] * 1e4)}
    ),
    "whole numbers": lambda path: write_raw(
        path, pixels(4) | {"sen2": np.round(pixels(4)["sen2"] * 1e4).astype(np.uint16)}
    ),
    "our own, without its unit": lambda path: write_patches(path, pixels(4)),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("rows", [slice(0, 4), slice(3, 4)])
def test_digital_numbers_are_refused_by_the_reader(tmp_path: Path, kind: str, rows: slice) -> None:
    path = FOREIGN[kind](tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        forget_the_unit(file)
    with (
        patches.read(path, "sen2") as source,
        pytest.raises(
            StageError, match=r"a.h5: (rows 3: )?sen2 looks like digital numbers .values up to"
        ),
    ):
        source["sen2"][rows]


def test_our_own_files_are_stored_in_whole_numbers(prepared: Path) -> None:
    with patches.read(prepared, "sen2") as source:
        assert source["sen2"].raw(slice(0, 4)).max() > 300
        assert source["sen2"][0:4].max() < 2.8


def test_a_file_may_have_a_range_of_its_own(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", pixels(4) | {"sen2": pixels(4)["sen2"] * 1e4})
    values: Any = None
    with h5py.File(path, "r+") as file:
        file["sen2"].attrs["high"] = 28000.0
    with patches.read(path, "sen2") as source:
        values = source["sen2"][0:4]
    np.testing.assert_allclose(values, pixels(4)["sen2"] * 1e4, rtol=1e-6)


def test_radar_in_decibels_is_refused_by_the_reader(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.h5", {"sen1": decibels(RADAR)})
    with (
        patches.read(path, "sen1") as source,
        pytest.raises(StageError, match=r"a.h5: sen1: VH looks like decibels"),
    ):
        source["sen1"][0:2]


# --- limits, each from both sides -----------------------------------------------------------------
def spread(share: float, value: float, band: int | None = None) -> np.ndarray:
    """(1, 20, 5, 10) reflectance of 1, and so much of it, or of one band, of another value."""
    values = np.ones((1, 20, 5, 10))
    flat = values.reshape(100, 10)
    flat[: round(100 * share), slice(None) if band is None else band] = value
    return values


def told(values: np.ndarray, name: str = "sen2") -> str:
    layout = {"sen1": lcz.SEN1, "sen2": SEN2, "rgb": lcz.RGB}[name]
    return explain_wrong_units(values, name, layout)


@pytest.mark.parametrize("outside", [2.8 + 0.15, -0.15])  # 0.05 of the range is 0.14
def test_more_than_half_of_all_values_outside(outside: float) -> None:
    assert told(spread(0.5, outside)) == ""
    assert told(spread(0.51, outside)).startswith("sen2: expected values of 0 … 2.8, found ")


@pytest.mark.parametrize("inside", [2.8 + 0.13, -0.13])
def test_a_little_beyond_the_range_is_inside(inside: float) -> None:
    assert told(spread(1, inside)) == ""


def test_nine_tenths_of_one_band_outside() -> None:
    assert told(spread(0.89, 5.0, band=3)) == ""
    assert told(spread(0.9, 5.0, band=3)).startswith(
        "sen2: B5: expected values of 0 … 2.8, found 1"
    )
    values = spread(0.9, 5.0, band=3)
    values.reshape(100, 10)[90:, 3] = np.nan  # those that are none do not count
    values.reshape(100, 10)[85:90, 3] = 1.0
    assert told(values).startswith("sen2: B5: ")


def test_what_is_told_of_reflectance() -> None:
    """Above 255 they are digital numbers; all of them below the range are marks."""
    assert "digital numbers (values up to 256)" in told(spread(1, 256.0))
    assert "most of them outside; bring them to that range, as `prepare --s" in told(spread(1, 255))
    assert told(spread(1, -1.0)).endswith(
        "found -1 to -1: marks of missing data; take such rows out"
    )
    assert told(spread(0.9, -1.0)).endswith("as `prepare --scale` and `--offset` do")
    mixed = spread(0.6, -9999.0)
    mixed[0, 0, 0, 0] = 300.0  # the median is below the range
    assert "digital" not in told(mixed)
    assert told(np.full((1, 2, 2, 3), 999.0), "rgb").endswith("outside; bring them to that range")


def test_fractions_of_colours() -> None:
    half = np.full((1, 2, 2, 3), 0.5)
    assert told(half, "rgb") == "rgb looks like fractions (0.5 to 0.5): multiply by 255"
    half[0, 0, 0, 0] = 1.0
    assert told(half, "rgb")
    half[0, 0, 0, 0] = 1.01
    assert told(half, "rgb") == ""
    half[0, 0, 0, 0] = -0.5
    assert told(half, "rgb") == ""


def radar(share: float, value: float, band: int = 4) -> np.ndarray:
    values = np.full((1, 20, 5, 8), 0.5)
    values.reshape(100, 8)[: round(100 * share), band] = value
    return values


def test_limits_of_radar() -> None:
    """Nine tenths of one intensity; -200 dB is the last that is no mark; 100 no number yet."""
    assert told(radar(0.89, -5.0), "sen1") == ""
    assert told(radar(0.9, -5.0), "sen1").startswith("sen1: VH looks like decibels (-5 to 0.5)")
    assert "looks like decibels (-200 to" in told(radar(0.9, -200.0), "sen1")
    assert "found -201 to 0.5: marks of missing data" in told(radar(0.9, -201.0), "sen1")
    assert told(radar(1, 100.0), "sen1") == ""
    assert "digital numbers (101 to 101)" in told(radar(1, 101.0), "sen1")
    assert told(radar(1, -5.0, band=0), "sen1") == ""  # a real part
    assert told(radar(1, -5.0, band=7), "sen1") == ""  # an imaginary one
    mostly = radar(0.95, -5.0)
    mostly.reshape(100, 8)[:50, 4] = np.nan
    assert "looks like decibels" in told(mostly, "sen1")


def test_numbers_as_people_write_them() -> None:
    for value, shown in ((100.0, "100"), (99.96, "100"), (12345.6, "12,346"), (0.01234, "0.0123")):
        assert _tell(np.float64(value)) == shown


def test_thinned_out_blocks() -> None:
    """Every k-th row and pixel, k being how often 128 rows and 4 pixels go into the sizes."""
    assert thin_out(np.zeros((128, 32, 64, 3))).shape == (128, 4, 4, 3)
    assert thin_out(np.zeros((256, 3, 9, 3))).shape == (128, 3, 5, 3)
    assert thin_out(np.zeros((255, 1, 4, 3))).shape == (255, 1, 4, 3)
    picked = thin_out(np.arange(256).reshape(256, 1, 1, 1) * np.ones((1, 8, 8, 2)))
    np.testing.assert_array_equal(picked[:, 0, 0, 0], np.arange(0, 256, 2))
