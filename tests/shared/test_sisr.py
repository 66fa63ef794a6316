"""Point spreads by hand, agreement of two sensors, pair files and what they refuse."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from shared import sisr
from shared.errors import StageError
from shared.sisr import fidelity, frequency, venus
from tests.pair_files import form, write


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
def test_a_pair_file_says_what_it_holds(tmp_path: Path) -> None:
    values = write(tmp_path / "pairs.h5")
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        assert (pairs.form, pairs.form.factor, pairs.sites) == (form(), 2, ("a", "b", "ç"))
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


def _add_flow(file: h5py.File) -> None:
    """The fields of drawn pairs, the flow on the grid of the finer image."""
    file["flow"] = np.ones((6, 8, 8, 2), np.float32)
    file["gain"] = file["offset"] = np.ones((6, 4, 4, 2), np.float32)


def _no_training(file: h5py.File) -> None:
    file["split"][:] = 2


BROKEN: dict[str, tuple[Any, str]] = {
    "no low": (lambda f: f.move("low", "other"), "low"),
    "size": (_replace("high", np.ones((6, 9, 8, 2), np.int16)), r"expected int16 \(8, 8, 2\)"),
    "kind": (_replace("high", np.ones((6, 8, 8, 2), np.float32)), "found float32"),
    "sums": (_replace("low_moments", np.ones((6, 2, 3))), r"expected float64 \(2, 2\)"),
    "date": (_replace("date", np.ones(6, np.float32)), "date: expected int32"),
    "flow": (_add_flow, r"flow: expected float32 \(4, 4, 2\) a row, found float32 \(8, 8, 2\)"),
    "truth": (lambda f: f.create_dataset("flow", data=np.ones((6, 4, 4, 2), "f4")), "'gain'"),
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


def test_rounding_leaves_no_number_below_zero_under_the_root(tmp_path: Path) -> None:
    """Of a band of one value: the mean square may be a hair below the square of the mean."""
    write(tmp_path / "pairs.h5")
    with h5py.File(tmp_path / "pairs.h5", "r+") as file:
        pixels = file["low"].shape[1] ** 2
        file["low_moments"][:] = pixels * np.array([[0.1], [0.01 - 1e-12]])
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        mean, std = pairs.statistics("low")
    np.testing.assert_allclose(mean, 0.1)
    assert not std.any()


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
    whole = sisr.Form(128, bands, simulated=True)
    assert whole.shape("low") == (128, 128, 4)
    assert whole.shape("coarse") == (64, 64, 6)
    assert whole.shape("high") == (256, 256, 8)
    assert {name: field.shape for name, field in sisr.fields(whole).items() if name == "flow"} == {
        "flow": (128, 128, 2)
    }
    assert list(sisr.fields(whole)) == sorted(sisr.fields(whole))


# --- enlarging ------------------------------------------------------------------------------------
def test_a_cubic_keeps_ramps_and_has_the_weights_of_keys() -> None:
    ramp = np.tile(np.arange(12.0), (8, 1))[..., None]
    large = sisr.enlarge(ramp, 2)
    assert large.shape == (16, 24, 1)
    np.testing.assert_allclose(np.diff(large[8, 4:-4, 0]), 0.5)
    np.testing.assert_allclose(large[8, 10, 0], 4.75)  # a quarter of a pixel before the fifth
    point = np.zeros((1, 9, 1))
    point[0, 4] = 1
    quarter = [0.8671875, 0.2265625, -0.0703125, -0.0234375]  # at 1/4, 3/4, 5/4 and 7/4
    np.testing.assert_allclose(sisr.enlarge(point, 2)[0, 9:13, 0], quarter)


def test_rows_are_chosen_by_their_correlation(tmp_path: Path) -> None:
    """Training rows are 0 and 3, with correlations of 0.1 and 0.4."""
    write(tmp_path / "pairs.h5")
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        assert pairs.choose("training", 9).tolist() == [0, 3]
        assert pairs.choose("training", 1).tolist() == [0]
        assert pairs.choose("training", 9, 0.2).tolist() == [3]
        assert pairs.choose("validation", 9, 0.5).tolist() == [4]  # 0.5 is enough
        with pytest.raises(StageError, match=r"at least 0.5, found none; the highest is 0.4"):
            pairs.choose("training", 9, 0.5)


def test_rows_are_spread_evenly(tmp_path: Path) -> None:
    write(tmp_path / "pairs.h5", split=np.zeros(6, np.uint8))
    with sisr.Pairs(tmp_path / "pairs.h5") as pairs:
        assert pairs.choose("training", 4).tolist() == [0, 2, 3, 5]


def test_the_cubic_of_torch_sharpens() -> None:
    """Keys' weights at a quarter of a pixel, for a = -3/4."""
    point = np.zeros((1, 12, 1))
    point[0, 5] = 1
    weights = [-0.10546875, 0.87890625, 0.26171875, -0.03515625]  # 1.25, 0.25, 0.75, 1.75 away
    np.testing.assert_allclose(sisr.enlarge(point, 2, -0.75)[0, [8, 10, 12, 14], 0],
                               weights)  # fmt: skip


# --- fidelity -------------------------------------------------------------------------------------
def test_psnr_and_rmse_by_hand() -> None:
    target = np.zeros((4, 4, 1))
    assert fidelity.rmse(target + 0.1, target) == pytest.approx(0.1)
    assert fidelity.psnr(target + 0.1, target) == pytest.approx(20)
    assert fidelity.psnr(target, target) == fidelity.BEST
    assert fidelity.psnr(target + 1e-9, target) == fidelity.BEST
    half = target.copy()
    half[:2] = 0.1
    assert fidelity.psnr(half, target) == pytest.approx(20 + 10 * np.log10(2))


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-4, 4)])
def test_the_best_shift_is_found(shift: tuple[int, int]) -> None:
    target = np.random.default_rng(0).random((32, 32, 2))
    moved = np.roll(target, shift, (0, 1))
    assert fidelity.best_shift(moved, target) == (fidelity.BEST, shift)
    best, _ = fidelity.best_shift(moved + 0.01, target)
    assert best == pytest.approx(40)
    flat = np.zeros((32, 32, 1))
    assert fidelity.best_shift(flat, flat)[1] == (0, 0)  # the shortest of equal ones


def test_ssim_is_that_of_each_window() -> None:
    """Wang et al. 2004, pixel by pixel: windows of 11 x 11, mirrored at the ends."""
    rng = np.random.default_rng(3)
    target = rng.random((7, 9, 2)) * [0.1, 0.5]
    made = target + 0.02 * rng.standard_normal(target.shape)
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(weights, weights) / weights.sum() ** 2
    found = []
    for band in range(2):
        ours, other = (np.pad(x[..., band], 5, mode="reflect") for x in (made, target))
        for y, x in np.ndindex(7, 9):
            a, b = ours[y : y + 11, x : x + 11], other[y : y + 11, x : x + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            found.append(
                (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )  # fmt: skip
    assert fidelity.ssim(made, target) == pytest.approx(np.mean(found), abs=1e-12)
    assert np.mean(found) < 0.99
    assert fidelity.ssim(target, target) == pytest.approx(1)


def test_what_lies_beside_the_middle() -> None:
    image = np.arange(80.0).reshape(8, 10, 1)
    np.testing.assert_array_equal(
        fidelity.crop_moved(image, (1, -2), 2)[..., 0], image[3:7, 0:6, 0]
    )


def test_fidelity_to_the_input_and_to_fine_detail() -> None:
    rng = np.random.default_rng(0)
    target = rng.random((32, 32, 1))
    low = sisr.downscale(target, 2, 0.3)
    assert fidelity.low_fidelity(target, low, 2, 0.3) == 0
    assert fidelity.low_fidelity(target + 0.02, low, 2, 0.3) == pytest.approx(0.02)
    assert fidelity.high_fidelity(target + 0.02, target, 2, 0.3) == pytest.approx(0, abs=1e-12)
    wave = np.tile(np.cos(np.pi * np.arange(32)), (32, 1))[..., None]  # every other pixel
    assert fidelity.high_fidelity(wave, 0 * wave, 2, 0.3) == pytest.approx(1, abs=0.02)


# --- frequencies ----------------------------------------------------------------------------------
def test_a_wave_is_in_its_ring() -> None:
    """Seven periods along 32 pixels are ring 14 of the padded image; all others are weaker."""
    spectrum = frequency.Spectrum(32)
    spectrum.add(np.tile(np.cos(2 * np.pi * 7 * np.arange(32) / 32), (32, 1)))
    profile = spectrum.profile()
    assert profile.shape == (32,)
    assert profile[0] == 0
    assert profile.argmax() == 14 - 1


def test_rings_of_a_sum_are_those_of_the_set() -> None:
    images = np.random.default_rng(5).random((3, 8, 8))
    rings = np.stack([frequency.measure_rings(image) for image in images])
    assert rings.shape == (3, 9)
    assert rings[0, 0] == pytest.approx(images[0].sum())  # ring 0 is the mean alone
    spectrum = frequency.Spectrum(8)
    for image in images:
        spectrum.add(image)
    np.testing.assert_allclose(frequency.to_decibels(rings.sum(0)), spectrum.profile())


def test_rings_are_those_of_the_whole_plane() -> None:
    """Half of the plane counts as all of it; rings lie edge to edge, and the set is averaged."""
    images = np.random.default_rng(0).random((3, 12, 12))
    spectrum = frequency.Spectrum(12)
    for image in images:
        spectrum.add(image)
    amplitude = np.abs(np.fft.fft2(images, (24, 24))).mean(0)
    place = np.fft.fftfreq(24) * 24
    ring = np.rint(np.hypot(place[:, None], place))
    means = np.array([amplitude[ring == k].mean() for k in range(1, 13)])
    np.testing.assert_allclose(spectrum.profile(), 20 * np.log10(means / means[0]), atol=1e-9)


# Ten rings in decibels: the target lies 1 to 9 above the input from the second on.
GIVEN = np.array([0.0, -11, -12, -13, -14, -15, -16, -17, -18, -19])
TARGET = GIVEN + np.arange(10.0)  # 0, -10, -10, …: their sum is -90, that of the input -135


def test_rates_of_the_target_and_of_the_input() -> None:
    whole = frequency.rate(GIVEN, TARGET, TARGET)
    assert whole.prr == pytest.approx(100 * 45 / 135)
    assert [whole.arr, whole.frr] == pytest.approx([whole.prr, 100])
    assert (whole.fro, whole.fru, whole.noise) == (0, 0, 0)
    none = frequency.rate(GIVEN, TARGET, GIVEN)
    assert (none.arr, none.frr, none.fro, none.fru, none.noise) == (0, 0, 0, 0, 0)


def test_rates_by_hand() -> None:
    """Half of the way on rings 1 to 6, beyond the target on 7 and 8, below the input on 9."""
    made = GIVEN + np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 11, 12, -6.0])
    rates = frequency.rate(GIVEN, TARGET, made)
    achieved = 0.5 + 1 + 1.5 + 2 + 2.5 + 3 + 7 + 8
    assert rates.arr == pytest.approx(100 * achieved / 135)
    assert rates.frr == pytest.approx(100 * achieved / 36)  # without the last ring
    assert rates.fro == pytest.approx(100 * (4 + 4) / 90)
    assert rates.fru == pytest.approx(-100 * 6 / 135)
    # Of nine rings, the top fifth are 7 and 8, all restored; 5 and 6 below are, by half.
    assert rates.noise == pytest.approx(100 - 50)


def test_nothing_to_restore_is_no_restoration() -> None:
    assert frequency.rate(GIVEN, GIVEN, TARGET).frr == 0
