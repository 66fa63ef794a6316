"""Point spreads by hand, agreement of two sensors, pair files and what they refuse."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import patches, sisr
from shared.errors import StageError
from shared.sisr import venus


# --- point spread ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mtf", "metres", "sigma"),
    [(np.exp(-0.5), 10.0, 10 / np.pi), (np.exp(-2.0), 10.0, 20 / np.pi), (0.304, 10.0, 4.9122)],
)
def test_spread_of_an_mtf(mtf: float, metres: float, sigma: float) -> None:
    """An MTF of exp(-1/2) is one standard deviation of frequency: sigma = res / pi."""
    assert sisr.spread(mtf, metres) == pytest.approx(sigma, rel=1e-4)


@pytest.mark.parametrize("mtf", [0.0, 1.0, -0.1, 2.0])
def test_an_mtf_lies_between_0_and_1(mtf: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sisr.spread(mtf, 10.0)


@pytest.mark.parametrize(("factor", "mtf"), [(2, 0.1), (2, 0.3), (4, 0.1), (2.5 / 1.5, 0.1)])
def test_the_nyquist_frequency_is_let_through_by_the_mtf(factor: float, mtf: float) -> None:
    """A cosine of two new pixels a period, with its crests on their centres, keeps `mtf` of it."""
    count = 40
    cells = int(count * factor)
    place = (np.arange(cells) + 0.5) / factor
    wave = np.cos(np.pi * (place - 0.5))
    weights = sisr.weigh(cells, count, factor, sisr.spread(mtf, factor))
    seen = (weights @ wave)[8:-8]
    expected = mtf * np.cos(np.pi * np.arange(count))[8:-8]
    np.testing.assert_allclose(seen, expected, atol=0.002)


def test_weights_by_hand() -> None:
    """Two cells a pixel: the centre lies half a cell from its nearest two."""
    sigma = 1.0
    row = sisr.weigh(20, 10, 2, sigma).toarray()[5]
    near = np.exp(-0.5 * np.array([0.5, 1.5, 2.5, 3.5]) ** 2)
    total = row.sum()
    assert total == pytest.approx(1)
    np.testing.assert_allclose(row[11:14] / row[11], near[:3] / near[0], rtol=1e-12)
    np.testing.assert_allclose(row[10:7:-1], row[11:14], rtol=1e-12)


def test_cells_beyond_an_end_are_mirrored_without_the_last() -> None:
    weights = sisr.weigh(12, 6, 2, 1.0).toarray()
    padded = np.pad(np.arange(12.0) ** 2, 8, mode="reflect")
    wide = sisr.weigh(28, 14, 2, 1.0).toarray()
    np.testing.assert_allclose(weights @ np.arange(12.0) ** 2, (wide @ padded)[4:10])


def test_downscale_keeps_corner_mean_and_ramps() -> None:
    image = np.stack([np.full((16, 40), 7.0), np.tile(np.arange(40.0), (16, 1))], -1)
    small = sisr.downscale(image, 4, 0.1)
    assert small.shape == (4, 10, 2)
    np.testing.assert_allclose(small[..., 0], 7)
    np.testing.assert_allclose(small[:, 4, 1], 17.5)  # columns 16 to 19
    assert sisr.downscale(np.zeros((1054, 2, 1)), 2.5 / 1.5, 0.1).shape == (632, 1, 1)


# --- agreement ------------------------------------------------------------------------------------
def test_correlation_by_hand() -> None:
    rng = np.random.default_rng(0)
    high = rng.integers(0, 4000, (16, 16, 2)).astype(np.int16)
    small = sisr.downscale(high.mean(2, keepdims=True), 2, 0.1)
    exact = np.repeat(3 * small - 100, 2, 2)
    assert sisr.correlate(exact, high, 2) == pytest.approx(1)
    assert sisr.correlate(-exact, high, 2) == pytest.approx(1)
    other = rng.integers(0, 4000, (8, 8, 2)).astype(np.int16)
    expected = abs(np.corrcoef(other.mean(2).ravel(), small.ravel())[0, 1])
    assert sisr.correlate(other, high, 2) == pytest.approx(expected)
    flat = np.full((8, 8, 2), 9, np.int16)
    assert sisr.correlate(flat, high, 2) == 0
    assert sisr.correlate(other, np.full((16, 16, 2), 9, np.int16), 2) == 0


def test_sums_are_of_reflectance() -> None:
    image = np.array([[[10_000, 0]], [[20_000, 5_000]]], np.int16)
    np.testing.assert_allclose(sisr.sum_values(image), [[3, 0.5], [5, 0.25]])


# --- names of Sen2Venµs ---------------------------------------------------------------------------
def test_columns_say_their_bands() -> None:
    bands = venus.describe_columns(("b5b6b7b8a_20m", "b11b12_20m"))
    assert (bands.names, bands.metres) == (("B5", "B6", "B7", "B8A", "B11", "B12"), 20.0)
    assert venus.describe_columns(("truth_b2b3b4b8_05m",)).metres == 5.0


# --- pair files -----------------------------------------------------------------------------------
FORM = sisr.Form(4, {"low": sisr.Bands(("B2", "B8"), 10.0), "high": sisr.Bands(("B2", "B8"), 5.0)})


def write(path: Path, form: sisr.Form = FORM, rows: int = 6) -> dict[str, Any]:
    """A pair file of random rows of three sites."""
    rng = np.random.default_rng(1)
    images = {n: rng.integers(0, 9000, (rows, *form.shape(n)), np.int16) for n in form.bands}
    fields: dict[str, Any] = {**sisr.fields(form)}
    values: dict[str, Any] = {
        **images,
        **{f"{n}_moments": np.stack([sisr.sum_values(i) for i in a]) for n, a in images.items()},
        "correlation": np.linspace(0.1, 0.6, rows, dtype=np.float32),
        "date": np.full(rows, 20200615, np.int32),
        "site": np.arange(rows, dtype=np.int32) % 3,
        "split": np.array([0, 1, 2, 0, 1, 3], np.uint8)[:rows],
    }
    names = ("a", "b", "ç")
    with patches.Writer(path, rows, constants=sisr.constants(form, names), **fields) as sink:
        for block in sink.todo(4):
            sink.put(block, **{name: array[block] for name, array in values.items()})
    return values


def test_a_pair_file_says_what_it_holds(tmp_path: Path) -> None:
    values = write(tmp_path / "pairs.h5")
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        assert (pairs.form, pairs.form.factor, pairs.sites) == (FORM, 2, ("a", "b", "ç"))
        assert [pairs.rows(split).tolist() for split in sisr.SPLITS] == [[0, 3], [1, 4], [2]]
        mean, std = pairs.statistics("high")
        training = values["high"][[0, 3]].reshape(-1, 2) / 1e4
        np.testing.assert_allclose(mean, training.mean(0))
        np.testing.assert_allclose(std, training.std(0))
        told = pairs.describe()
        assert told["training"] == {"rows": 2, "sites": 1, "correlation": 0.25}
        assert told["validation"] == {"rows": 2, "sites": 1, "correlation": 0.35}
        np.testing.assert_array_equal(pairs.source["low"].raw(slice(2, 4)), values["low"][2:4])


def _replace(name: str, values: Any) -> Any:
    def breaks(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return breaks


def _two_resolutions(file: h5py.File) -> None:
    file["high_bands"][1] = 10.0


def _no_training(file: h5py.File) -> None:
    file["split"][:] = 2


BROKEN: dict[str, tuple[Any, str]] = {
    "no low": (lambda f: f.move("low", "other"), "low"),
    "size": (_replace("high", np.ones((6, 9, 8, 2), np.int16)), r"expected int16 \(8, 8, 2\)"),
    "kind": (_replace("high", np.ones((6, 8, 8, 2), np.float32)), "found float32"),
    "rows": (_replace("split", np.zeros(5, np.uint8)), "same number of rows"),
    "split": (_replace("split", np.full(6, 9, np.uint8)), "split: expected 0 to 3, found 9"),
    "resolution": (_two_resolutions, "expected one resolution in metres"),
    "names": (_replace("sites", np.full((2, 2), 255, np.uint8)), "expected names in UTF-8"),
    "numbers": (_replace("sites", np.zeros(3)), "expected names as bytes, found float64"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_refuses_what_is_no_pair_file(tmp_path: Path, what: str) -> None:
    write(tmp_path / "pairs.h5")
    breaks, message = BROKEN[what]
    with h5py.File(tmp_path / "pairs.h5", "r+") as file:
        breaks(file)
    with pytest.raises(StageError, match=message) as told:
        sisr.Pairs(tmp_path / "pairs.h5")
    assert str(tmp_path / "pairs.h5") in str(told.value)


def test_statistics_want_training_rows(tmp_path: Path) -> None:
    write(tmp_path / "pairs.h5")
    with h5py.File(tmp_path / "pairs.h5", "r+") as file:
        _no_training(file)
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        assert set(pairs.describe()) == {"testing"}
        with pytest.raises(StageError, match="expected training rows, found none"):
            pairs.statistics("low")


def test_all_bands_have_images_of_three_sizes() -> None:
    bands = {n: venus.describe_columns(c) for n, c in venus.COLUMNS["all"].items()}
    form = sisr.Form(128, bands, simulated=True)
    assert form.shape("low") == (128, 128, 4)
    assert form.shape("coarse") == (64, 64, 6)
    assert form.shape("high") == (256, 256, 8)
    assert {name: field.shape for name, field in sisr.fields(form).items() if name == "flow"} == {
        "flow": (128, 128, 2)
    }
    assert list(sisr.fields(form)) == sorted(sisr.fields(form))
