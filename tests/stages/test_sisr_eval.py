"""sisr-eval: metrics against independent computations, known faults, tables, refusals."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnxruntime
import pytest
from scipy import ndimage

from shared import cli, sisr
from shared.terminal import escape
from stages.sisr_eval import main as stage
from stages.sisr_eval import pictures, results, samples
from stages.sisr_eval.contest import Contest
from tests import pair_files, sisr_networks

TESTING = [0, 2, 4]  # rows; 1 is for validation, 3 for training, 5 for none of them
SPLIT = np.array([2, 1, 2, 0, 2, 3], np.uint8)
EDGE = slice(8, -8)
CUBIC, MOVED, BIASED = "cubic", "moved", "biased"
Table = dict[tuple[str, str], dict[str, float]]


def draw(rows: int, side: int, bands: int, seed: int) -> np.ndarray:
    """Smooth land with fine detail, another brightness in each band; as it is stored."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, side, side, bands))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3, 0), mode="reflect")
    fine = ndimage.gaussian_filter(noise, (0, 0.7, 0.7, 0), mode="reflect")
    level = np.linspace(0.15, 0.35, bands)
    return np.rint(1e4 * (level + 0.2 * smooth + 0.02 * fine)).clip(1).astype(np.int16)


def shrink(high: np.ndarray, factor: int, names: tuple[str, ...]) -> np.ndarray:
    """As Sentinel-2 records it."""
    made = [
        [sisr.downscale(row[..., [b]], factor, sisr.SENTINEL2_MTF[n])[..., 0]
         for b, n in enumerate(names)]
        for row in high.astype(float)
    ]  # fmt: skip
    return np.rint(np.moveaxis(np.array(made), 1, -1)).astype(np.int16)


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of two bands whose true flow is half a pixel; the target is brighter than the truth."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.h5"
    truth = draw(6, 48, 2, 0)
    form = pair_files.form(24)
    form.bands["truth"] = form.bands["high"]
    flow = np.zeros((6, 24, 24, 2), np.float32)
    flow[..., 0] = 0.5
    pair_files.write(
        path, sisr.Form(24, form.bands, simulated=True), split=SPLIT, truth=truth,
        high=truth + np.array([200, 300], np.int16), low=shrink(truth, 2, ("B2", "B8")), flow=flow,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cubic, one that moves everything down, and one with bands in another order and a bias."""
    folder = tmp_path_factory.mktemp("networks")
    card = sisr_networks.card
    moved = card(architecture="moved", mode="geometric")
    biased = card(("B8", "B2"), architecture="biased", made=("B2", "B8"))
    made = (
        sisr_networks.write(folder / CUBIC, card()),
        sisr_networks.write(folder / MOVED, moved, down=1),
        sisr_networks.write(folder / BIASED, biased, bias=0.01),
    )
    return ",".join(map(str, made))


@pytest.fixture(scope="module")
def registration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sisr_networks.write_registration(tmp_path_factory.mktemp("register") / "r")


def command(src: Path, networks: str, dst: Path, *flags: str) -> Path:
    cli.main(stage.run, [f"--src={src}", f"--networks={networks}", f"--dst={dst}", *flags])
    return dst


@pytest.fixture(scope="module")
def made(
    src: Path, folders: str, registration: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    dst = tmp_path_factory.mktemp("out") / "eval"
    return command(src, folders, dst, f"--registration={registration}", "--threads=1")


def table(folder: Path) -> Table:
    """Metrics by image and band."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["image"], row["band"]): {
            name: float(cell)
            for name, cell in row.items()
            if cell and name not in ("image", "band")
        }
        for row in rows
    }


def read(src: Path, name: str) -> np.ndarray:
    """Reflectance of the rows for testing."""
    with h5py.File(src) as file:
        return np.asarray(file[name])[TESTING] / 1e4


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over rows of the PSNR of (N, H, W)."""
    return float(np.mean(-10 * np.log10(np.mean((one - other) ** 2, (1, 2)))))


# --- metrics --------------------------------------------------------------------------------------
def test_a_network_is_measured_by_formulas(src: Path, folders: str, made: Path) -> None:
    """PSNR and RMSE of what onnxruntime gives, band by band, against both references."""
    session = onnxruntime.InferenceSession(Path(folders.split(",")[1]) / "network.onnx")
    low = np.moveaxis(read(src, "low"), -1, 1).astype(np.float32)
    output = np.moveaxis(session.run(None, {"input": low})[0], 1, -1)[:, EDGE, EDGE]
    for suffix, name in (("", "high"), ("_truth", "truth")):
        target = read(src, name)[:, EDGE, EDGE]
        for band, place in (("B2", 0), ("B8", 1)):
            told = table(made)[MOVED, band]
            wanted = target[..., place]
            apart = output[..., place] - wanted
            assert told[f"psnr{suffix}"] == pytest.approx(decibels(output[..., place], wanted))
            rmse = np.sqrt(np.mean(apart**2, (1, 2))).mean()
            assert told[f"rmse{suffix}"] == pytest.approx(rmse, rel=1e-5)
            best = decibels(output[:, 5:-3, 4:-4, place], wanted[:, 4:-4, 4:-4])
            assert told[f"best_shift_psnr{suffix}"] == pytest.approx(best, rel=1e-5)


def test_a_network_that_moves_everything_has_that_shift(made: Path) -> None:
    told = table(made)
    for suffix in ("", "_truth"):
        shifts = {
            name: [told[name, "mean"][f"shift_{way}{suffix}"] for way in ("down", "right")]
            for name in ("bicubic", CUBIC, MOVED, BIASED)
        }
        none = [0, 0]
        assert shifts == {"bicubic": none, CUBIC: none, MOVED: [1, 0], BIASED: none}
    best = [told[name, "mean"]["best_shift_psnr_truth"] for name in (MOVED, CUBIC)]
    assert best[0] == pytest.approx(best[1], abs=0.5)
    assert told[MOVED, "mean"]["psnr_truth"] < told[CUBIC, "mean"]["psnr_truth"] - 1


def test_the_cubic_of_onnxruntime_is_the_row_of_bicubic(made: Path) -> None:
    """So a network that enlarges by a cubic restores nothing."""
    told = table(made)
    for band in ("mean", "B2", "B8"):
        cubic, network = told["bicubic", band], told[CUBIC, band]
        assert cubic.keys() == network.keys()
        for metric, value in cubic.items():
            assert network[metric] == pytest.approx(value, rel=1e-3, abs=1e-4), metric
        assert (cubic["frr"], cubic["fru"], cubic["noise_truth"]) == (0, 0, 0)
        assert cubic["prr_truth"] > 0


def test_the_other_cubic_is_a_row_too(src: Path, made: Path, tmp_path: Path) -> None:
    """That with a = -3/4, which sharpens; networks have to beat both."""
    folder = sisr_networks.write(tmp_path / "torch", sisr_networks.card(), a=-0.75)
    told = table(command(src, str(folder), tmp_path / "a"))
    for metric, value in told["sharper bicubic", "B8"].items():
        assert told["torch", "B8"][metric] == pytest.approx(value, rel=1e-3, abs=1e-4), metric
    both = [table(made)[name, "mean"]["frr_truth"] for name in ("bicubic", "sharper bicubic")]
    assert both[0] == 0
    assert both[1] > 1


def test_a_bias_is_a_radiometric_distortion_alone(made: Path) -> None:
    told = table(made)
    for band in ("B2", "B8", "mean"):
        plain, biased = told[CUBIC, band], told[BIASED, band]
        assert abs(plain["radiometric_mean"]) < 1e-3
        if band != "mean":  # there it is a mean of magnitudes
            more = biased["radiometric_mean"] - plain["radiometric_mean"]
            assert more == pytest.approx(0.01, abs=1e-6)
        for metric in ("radiometric_std", "high_fidelity", "high_fidelity_truth"):
            assert biased[metric] == pytest.approx(plain[metric], abs=1e-6)
    assert told["target", "B2"]["radiometric_mean"] == pytest.approx(0.02, abs=1e-5)
    assert told["target", "B8"]["radiometric_mean"] == pytest.approx(0.03, abs=1e-5)
    assert told["target", "mean"]["radiometric_mean"] == pytest.approx(0.025, abs=1e-5)
    assert told["target", "B8"]["radiometric_std"] < 1e-5


def test_the_truth_and_the_target_are_rows_too(made: Path) -> None:
    """The truth is what the input was made of; the target is the truth with a bias."""
    told = table(made)
    truth, target = told["truth", "B8"], told["target", "B8"]
    assert truth["low_fidelity"] < 1e-4  # half a stored step
    assert target["low_fidelity"] == pytest.approx(0.03, abs=1e-4)
    assert truth["rmse"] == target["rmse_truth"] == pytest.approx(0.03, abs=1e-6)
    assert "psnr_truth" not in truth
    assert not {"psnr", "frr", "prr"} & target.keys()
    assert not {"psnr_truth", "frr_truth"} & truth.keys()
    assert truth["frr"] > 95
    assert target["high_fidelity_truth"] < 1e-6


def test_low_fidelity_and_the_base_by_hand(src: Path, made: Path) -> None:
    """Of the moved cubic, band by band, with the MTF of each."""
    high, low = read(src, "high"), read(src, "low")
    for band, place, mtf in (("B2", 0, 0.304), ("B8", 1, 0.222)):
        seen = np.stack([sisr.downscale(row[..., [place]], 2, mtf)[..., 0] for row in high])
        apart = (seen - low[..., place])[:, 4:-4, 4:-4]
        told = table(made)["target", band]
        expected = np.sqrt(np.mean(apart**2, (1, 2))).mean()
        assert told["low_fidelity"] == pytest.approx(expected, rel=1e-5)
        whole = seen - low[..., place]
        sigma = np.sqrt(-2 * np.log(1e-5)) / np.pi
        base = np.stack([ndimage.gaussian_filter(row, sigma, mode="mirror") for row in whole])
        base = base[:, 4:-4, 4:-4]
        assert told["radiometric_mean"] == pytest.approx(base.mean(), abs=1e-6)
        assert told["radiometric_std"] == pytest.approx(base.std(), abs=1e-6)


def test_geometric_distortion_is_the_flow_of_the_registration(src: Path, made: Path) -> None:
    """Its flow is 10 * (moving - reference) down and 0.25 to the right, in B8."""
    told = table(made)
    plain, biased = told["truth", "mean"], told[BIASED, "mean"]
    assert plain["flow_mean"] == pytest.approx(0.25, abs=1e-3)
    assert plain["flow_error"] == pytest.approx(0.25, abs=1e-3)
    target = told["target", "mean"]  # 0.03 brighter: 0.3 down, of which the truth is 0.5
    assert target["flow_mean"] == pytest.approx(np.hypot(0.3, 0.25), abs=1e-3)
    assert target["flow_error"] == pytest.approx(np.hypot(0.2, 0.25), abs=1e-3)
    assert "flow_error" not in biased
    low, high = read(src, "low")[..., 1], read(src, "high")[..., 1:]
    seen = np.stack([sisr.downscale(row, 2, 0.222)[..., 0] for row in high])
    norm = np.hypot(10 * (seen - low)[:, 4:-4, 4:-4], 0.25)
    assert target["flow_std"] == pytest.approx(norm.std(), abs=1e-5)
    assert biased["flow_mean"] > told[CUBIC, "mean"]["flow_mean"]


def test_spectra_are_of_the_whole_set(src: Path, made: Path) -> None:
    """Amplitudes of the full plane, averaged over the rows, then over rings, in decibels."""
    profiles, content = (
        np.load(made / "fft_profiles.npy"),
        json.loads((made / "metrics.json").read_text()),
    )
    curves = ["bicubic", "target", "truth", "sharper bicubic", CUBIC, MOVED, BIASED]
    assert content["curves"] == curves
    assert profiles.shape == (7, 2, 32)
    frequencies = np.load(made / "fft_freqs.npy")
    assert (frequencies[0], frequencies[-1]) == (1 / 64, 0.5)
    amplitude = np.abs(np.fft.fft2(read(src, "high")[:, EDGE, EDGE, 1], (64, 64))).mean(0)
    place = np.fft.fftfreq(64) * 64
    ring = np.rint(np.hypot(place[:, None], place))
    means = np.array([amplitude[ring == k].mean() for k in range(1, 33)])
    np.testing.assert_allclose(profiles[1, 1], 20 * np.log10(means / means[0]), atol=1e-9)
    given, target, moved = (profiles[curves.index(n), 1] for n in ("bicubic", "target", MOVED))
    least = np.minimum(given, target)
    within = np.maximum(np.minimum(moved, target), least)
    frr = 100 * (within - least)[:31].sum() / (target - least)[:31].sum()
    assert table(made)[MOVED, "B8"]["frr"] == pytest.approx(frr, abs=1e-3)


def test_rates_of_made_spectra() -> None:
    """The prediction restores half of what there is in each ring of one band, all in the other."""
    totals = results.Totals()
    rings = np.arange(9)
    decibels = {"bicubic": -2.0 * rings, "target": -1.0 * rings, "half": -1.5 * rings}
    amplitudes = {name: 10 ** (value / 20) for name, value in decibels.items()}
    base = {"base": np.array([0.01, -0.03]), "base_square": np.array([0.0005, 0.0009])}
    for name, other in (("bicubic", "bicubic"), ("target", "target"), ("half", "target")):
        stacked = np.stack([amplitudes[name], amplitudes[other]])
        for factor in (1, 3):  # the level of an image does not matter
            totals.add({name: {"rings": factor * stacked, **base}})
    told = results.tabulate(totals, ("B2", "B8"))["half"]
    assert [told[band]["frr"] for band in ("B2", "B8", "mean")] == pytest.approx([50, 100, 75])
    assert told["B2"]["fro"] == told["B2"]["fru"] == told["B2"]["noise"] == 0


def test_deviations_are_of_all_rows_and_the_mean_is_of_magnitudes() -> None:
    totals = results.Totals()
    for base, square in ((0.01, 0.0004), (0.03, 0.0020)):
        both = {"base": np.array([base, -base]), "base_square": np.array([square, square])}
        flow = {"flow_norm": base, "flow_square": square}
        totals.add({"bicubic": {"rings": np.ones((2, 5)), **both, **flow}})
    told = results.tabulate(totals, ("B2", "B8"))["bicubic"]
    assert told["B8"]["radiometric_mean"] == pytest.approx(-0.02)
    assert told["mean"]["radiometric_mean"] == pytest.approx(0.02)
    assert told["B2"]["radiometric_std"] == pytest.approx(np.sqrt(0.0012 - 0.0004))
    assert told["mean"]["flow_std"] == pytest.approx(np.sqrt(0.0012 - 0.0004))


# --- rows -----------------------------------------------------------------------------------------
def test_only_rows_of_the_split_count(src: Path, folders: str, tmp_path: Path) -> None:
    first = folders.split(",")[0]
    low, high = ([], [])
    with h5py.File(src) as file:
        low, high = file["low"][1:2] / 1e4, file["high"][1:2] / 1e4
    cubic = sisr.enlarge(low[0], 2)[None]
    told = table(command(src, first, tmp_path / "a", "--split=validation"))
    expected = decibels(cubic[:, EDGE, EDGE, 0], high[:, EDGE, EDGE, 0])
    assert told["bicubic", "B2"]["psnr"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("flags", "rows"),
    [(("--rows=2",), [0, 4]), (("--min_correlation=0.2",), [2, 4]), (("--rows=1",), [0])],
)
def test_rows_are_chosen(
    src: Path, folders: str, tmp_path: Path, flags: tuple[str, ...], rows: list[int]
) -> None:
    dst = command(src, folders.split(",")[0], tmp_path / "a", *flags)
    assert json.loads((dst / "metrics.json").read_text())["rows"] == len(rows)
    with h5py.File(src) as file:
        low, high = file["low"][rows] / 1e4, file["high"][rows] / 1e4
    cubic = np.stack([sisr.enlarge(row, 2) for row in low])
    expected = decibels(cubic[:, EDGE, EDGE, 1], high[:, EDGE, EDGE, 1])
    assert table(dst)["bicubic", "B8"]["psnr"] == pytest.approx(expected, rel=1e-5)


def test_another_run_gives_the_same_bytes(
    src: Path, folders: str, registration: Path, made: Path, tmp_path: Path
) -> None:
    again = command(
        src, folders, tmp_path / "again", f"--registration={registration}", "--threads=3"
    )
    assert sorted(path.name for path in again.iterdir()) == [
        "fft_freqs.npy", "fft_profiles.npy", "fft_profiles.png", "metrics.csv", "metrics.json",
        "mosaic.png", "table.tex",
    ]  # fmt: skip
    for path in again.iterdir():
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name


def test_a_run_that_was_stopped_starts_again(
    src: Path, folders: str, registration: Path, made: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    flags = (src, folders, tmp_path / "out", f"--registration={registration}", "--threads=1")
    examine = Contest.examine

    def stop(contest: Contest, sample: samples.Sample) -> Any:
        if sample.number == TESTING[1]:
            raise KeyboardInterrupt
        return examine(contest, sample)

    monkeypatch.setattr(Contest, "examine", stop)
    with pytest.raises(SystemExit, match="130"):
        command(*flags)
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    for path in command(*flags).iterdir():
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name


# --- tables and pictures --------------------------------------------------------------------------
def test_three_tables_say_the_same(made: Path) -> None:
    told, content = table(made), json.loads((made / "metrics.json").read_text())
    assert {(n, b) for n, bands in content["metrics"].items() for b in bands} == told.keys()
    for (name, band), values in told.items():
        assert content["metrics"][name][band] == values
    means, psnr, psnr_truth = (made / "table.tex").read_text().split("\n\n")
    lines = {
        cells[0]: cells[1:]
        for line in means.splitlines()
        if len(cells := re.split(r" & | \\\\", line)) > 2
    }
    assert lines[""][:4] == ["PSNR (dB)", "SSIM", "RMSE", "best shift (dB)"]
    place = lines[""].index("bias")
    assert list(lines)[1:] == [
        *("bicubic", "sharper bicubic", CUBIC, MOVED, BIASED, "target", "truth")
    ]
    for name, cells in list(lines.items())[1:]:
        values = told[name, "mean"]
        assert cells[0] == (f"{values['psnr']:.2f}" if "psnr" in values else "--")
        assert cells[place] == f"{values['radiometric_mean']:.4f}"
    for metric, text in (("psnr", psnr), ("psnr_truth", psnr_truth)):
        both = " & ".join(f"{told[MOVED, band][metric]:.2f}" for band in ("B2", "B8"))
        assert f"{MOVED} & {both} \\\\" in text


def test_the_log_has_the_means(
    src: Path, folders: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dst = command(src, folders.split(",")[0], tmp_path / "a")
    said = capsys.readouterr()
    assert said.out == f"{dst}\n"
    line = next(line for line in said.err.splitlines() if line.startswith(CUBIC))
    assert f"{table(dst)[CUBIC, 'mean']['psnr']:.2f}" in line


def test_the_mosaic_shows_all_alike(src: Path, made: Path) -> None:
    canvas = pictures.canvas
    picture = (canvas.plt.imread(made / "mosaic.png")[..., :3] * 255).round()
    left = canvas.places([""] * 7)  # input, bicubic, three networks, target, truth
    assert picture.shape[1] == left[-1] + canvas.CELL + canvas.EDGE
    assert picture.shape[0] == canvas.TOP + 3 * (canvas.CELL + canvas.GAP + canvas.APART)
    cells = [picture[canvas.TOP : canvas.TOP + canvas.CELL, x : x + canvas.CELL] for x in left]
    assert np.abs(cells[1] - cells[2]).max() <= 1  # the cubic and the network that is one
    assert [cell.mean() > cells[6].mean() + 5 for cell in cells[:6]] == [
        False, False, False, False, True, True,
    ]  # fmt: skip
    target = read(src, "high")[0][..., [0, 0, 0]]  # no three bands for colours: B2 in grey
    ends = np.percentile(target.reshape(-1, 3), (1, 99), 0)
    grey = 255 * ((target - ends[0]) / (ends[1] - ends[0])).clip(0, 1) ** 0.75
    assert np.abs(cells[5] - grey.repeat(3, 0).repeat(3, 1)).max() <= 1
    given = np.asarray(cells[0])  # an input pixel is 6 wide, a finer one is 3
    np.testing.assert_array_equal(given[::6, ::6], given[5::6, 5::6])


def test_the_mosaic_has_as_many_rows_as_it_should(src: Path, folders: str, tmp_path: Path) -> None:
    canvas = pictures.canvas
    dst = command(src, folders.split(",")[0], tmp_path / "a", "--panel=2")
    height = canvas.plt.imread(dst / "mosaic.png").shape[0]
    assert height == canvas.TOP + 2 * (canvas.CELL + canvas.GAP + canvas.APART)


def test_cells_lie_in_columns_and_lines(tmp_path: Path) -> None:
    """A cell is 144 pixels wide, 4 lie between two, 20 more between groups; 66 are above."""
    canvas = pictures.canvas
    assert canvas.places(["x", "x", "y"]) == [52, 200, 368]
    shades = [np.full((2, 3, 3), shade, np.uint8) for shade in (10, 20, 30, 40)]
    lines = [("first", shades[:2]), ("second", shades[2:])]
    canvas.draw(tmp_path / "a.png", [("x", "a"), ("y", "b")], [("row", lines)])
    picture = (canvas.plt.imread(tmp_path / "a.png")[..., 0] * 255).round()
    assert picture.shape == (66 + 2 * 148 + 20, 220 + 144 + 10)
    for (y, x), shade in zip(
        ((66, 52), (66, 220), (214, 52), (214, 220)), range(10, 50, 10), strict=True
    ):
        assert (picture[y : y + 144, x : x + 144] == shade).all()
    assert (picture[210:214, 52:196] == 255).all()


def test_two_neighbouring_rings_are_one_in_the_picture() -> None:
    assert pictures.join_rings(np.array([1.0, 3.0, 5.0, 9.0, 7.0])).tolist() == [2, 7]


def test_colours_are_of_bands_that_there_are() -> None:
    names = ("B2", "B3", "B4", "B8", "B11")
    there = np.array([True, True, True, True, False])
    assert pictures.choose_colours(names, there) == {
        "true colour": [2, 1, 0], "false colour": [3, 2, 1],
    }  # fmt: skip
    assert pictures.choose_colours(("B11", "B8"), np.array([False, True])) == {"B8": [1, 1, 1]}


# --- bands of two resolutions ---------------------------------------------------------------------
@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """B8 of 10 m, B5 and B11 of 20 m; the finer satellite has no B11, and other order."""
    path = tmp_path_factory.mktemp("pairs") / "mixed.h5"
    truth = draw(6, 48, 3, 5)  # B5, B8, B11
    form = sisr.Form(24, {
        "low": sisr.Bands(("B8",), 10.0), "coarse": sisr.Bands(("B5", "B11"), 20.0),
        "high": sisr.Bands(("B5", "B8"), 5.0), "truth": sisr.Bands(("B5", "B8", "B11"), 5.0),
    }, simulated=True)  # fmt: skip
    pair_files.write(
        path, form, split=SPLIT, truth=truth, high=truth[..., :2],
        low=shrink(truth[..., 1:2], 2, ("B8",)), coarse=shrink(truth[..., ::2], 4, ("B5", "B11")),
    )  # fmt: skip
    return path


def test_bands_of_20_m_are_enlarged_and_measured_on_their_own_grid(
    mixed: Path, tmp_path: Path
) -> None:
    card = sisr_networks.card(("B11", "B8", "B5"))
    folder = sisr_networks.write(tmp_path / CUBIC, card)
    dst = command(mixed, str(folder), tmp_path / "eval")
    told = table(dst)
    coarse, truth = read(mixed, "coarse"), read(mixed, "truth")[:, EDGE, EDGE]
    for band, place, channel in (("B5", 0, 0), ("B11", 1, 2)):
        once = np.stack([sisr.enlarge(row[..., [place]], 4) for row in coarse])
        twice = np.stack([sisr.enlarge(sisr.enlarge(row[..., [place]], 2), 2) for row in coarse])
        for name, image in (("bicubic", once), (CUBIC, twice)):
            expected = decibels(image[:, EDGE, EDGE, 0], truth[..., channel])
            assert told[name, band]["psnr_truth"] == pytest.approx(expected, rel=1e-5)
        mtf = sisr.SENTINEL2_MTF[band]
        seen = np.stack([sisr.downscale(row, 4, mtf)[..., 0] for row in once])
        apart = (seen - coarse[..., place])[:, 2:-2, 2:-2]
        expected = np.sqrt(np.mean(apart**2, (1, 2))).mean()
        assert told["bicubic", band]["low_fidelity"] == pytest.approx(expected, rel=1e-5)
        assert told["truth", band]["low_fidelity"] < 1e-4
    assert "psnr" not in told[CUBIC, "B11"]
    both = [told[CUBIC, band]["psnr"] for band in ("B5", "B8")]
    assert told[CUBIC, "mean"]["psnr"] == pytest.approx(np.mean(both), rel=1e-5)
    assert told["target", "B11"] == {}
    profiles = np.load(dst / "fft_profiles.npy")
    assert np.isnan(profiles[1, 2]).all()  # target, B11
    assert np.isfinite(np.delete(profiles, 1, 0)).all()


def test_fine_detail_of_20_m_bands_is_what_lies_beyond_their_own_pixels(
    mixed: Path, tmp_path: Path
) -> None:
    folder = sisr_networks.write(tmp_path / CUBIC, sisr_networks.card(("B8", "B5", "B11")))
    told = table(command(mixed, str(folder), tmp_path / "eval"))["bicubic", "B11"]
    found = []
    for low, truth in zip(read(mixed, "coarse")[..., 1], read(mixed, "truth")[..., 2], strict=True):
        made = sisr.enlarge(low[..., None], 4)[..., 0]
        sigma = 4 * np.sqrt(-2 * np.log(0.21)) / np.pi
        apart = made - truth
        apart -= ndimage.gaussian_filter(apart, sigma, mode="mirror", truncate=6)
        found.append(np.sqrt(np.mean(apart[EDGE, EDGE] ** 2)))
    assert told["high_fidelity_truth"] == pytest.approx(np.mean(found), rel=1e-3)


def test_a_registration_by_a_band_of_20_m(mixed: Path, tmp_path: Path) -> None:
    """The target has no B11; the true flow is known on the grid of low alone."""
    folder = sisr_networks.write(tmp_path / CUBIC, sisr_networks.card(("B8", "B5", "B11")))
    placed = sisr_networks.write_registration(tmp_path / "r", band="B11", metres=20.0)
    told = table(command(mixed, str(folder), tmp_path / "a", f"--registration={placed}"))
    assert told["truth", "mean"]["flow_mean"] == pytest.approx(0.25, abs=1e-3)
    assert "flow_mean" not in told["target", "mean"]
    assert "flow_error" not in told["truth", "mean"]
    assert told[CUBIC, "mean"]["flow_mean"] > 0.25


def test_what_networks_get_has_all_bands_on_the_grid_of_low(mixed: Path) -> None:
    with sisr.Pairs(mixed) as pairs:
        frame = samples.frame(pairs, 8)
        sample = samples.read(pairs, frame, 2)
    assert (frame.bands, frame.factors) == (("B8", "B5", "B11"), (2, 4, 4))
    given = sample.given
    assert given.shape == (3, 24, 24)
    np.testing.assert_allclose(given[0], read(mixed, "low")[1, ..., 0], rtol=1e-6)
    for place in (0, 1):
        large = sisr.enlarge(read(mixed, "coarse")[1][..., [place]], 2)[..., 0]
        np.testing.assert_allclose(given[1 + place], large, rtol=1e-6)


# --- refusals -------------------------------------------------------------------------------------
def refuse(capsys: Any, *arguments: Any) -> str:
    """The one line on stderr; nothing is left behind."""
    capsys.readouterr()
    dst = arguments[2]
    with pytest.raises(SystemExit, match="2"):
        command(*arguments)
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    assert not [path for path in dst.parent.iterdir() if path.name.startswith(dst.name)]
    return str(line)


CARDS: list[tuple[dict[str, Any], str]] = [
    ({"bands": ("B2", "B4", "B8"), "mean": (0.1,) * 3, "std": (0.1,) * 3},
     "found one that reads B4"),
    ({"made": ("B8",)}, "found one without B2"),
    ({"factor": 4}, "expected a factor of 2, as in"),
    ({"metres": 20.0}, "expected pixels of metres 10, as in"),
]  # fmt: skip


@pytest.mark.parametrize(("other", "message"), CARDS)
def test_refuses_networks_for_other_pairs(
    src: Path, tmp_path: Path, capsys: Any, other: dict[str, Any], message: str
) -> None:
    folder = sisr_networks.write(tmp_path / "x", sisr_networks.card(**other))
    line = refuse(capsys, src, str(folder), tmp_path / "out")
    assert str(folder) in line
    assert message in line


def test_refuses_what_is_no_network(src: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    nan = sisr_networks.write(tmp_path / "nan", sisr_networks.card(), gain=np.nan)
    assert "row 0: expected finite numbers" in refuse(capsys, src, str(nan), out)
    fixed = sisr_networks.write(tmp_path / "fixed", sisr_networks.card(), side=7)
    line = refuse(capsys, src, str(fixed), out)
    assert "fixed/network.onnx: does not run on row 0 (" in line
    assert "Reshape" in line  # what the library says first
    cut = sisr_networks.write(tmp_path / "cut", sisr_networks.card())
    (cut / "network.onnx").write_bytes((cut / "network.onnx").read_bytes()[:100])
    assert "not a usable ONNX file" in refuse(capsys, src, str(cut), out)
    (cut / "network.onnx").unlink()
    assert "network.onnx: expected the network" in refuse(capsys, src, str(cut), out)
    (cut / "sisr.json").unlink()
    assert "sisr.json: expected a folder of sisr-train" in refuse(capsys, src, str(cut), out)
    small = sisr_networks.write(tmp_path / "small", sisr_networks.card(factor=4, margin=8))
    text = (small / "sisr.json").read_text().replace('"factor": 4', '"factor": 2')
    (small / "sisr.json").write_text(text)
    assert "expected an output (1, 2, 48, 48), found (1, 2, 96, 96)" in refuse(
        capsys, src, str(small), out
    )
    fine = sisr_networks.write(tmp_path / "fine", sisr_networks.card())
    assert "expected folders that differ" in refuse(capsys, src, f"{fine},{fine}", out)


def test_networks_are_called_as_their_folders(src: Path, tmp_path: Path) -> None:
    """By the last part; by more of it where two have the same, or where it is another row's."""
    card = sisr_networks.card()
    folders = [
        sisr_networks.write(tmp_path / name, card, bias=bias)
        for name, bias in (("b/x2", 0.03), ("a/x2", 0.0), ("a/truth", 0.01), ("a/other", 0.02))
    ]
    dst = command(src, ",".join(map(str, folders)), tmp_path / "out")
    told = table(dst)
    names = list(dict.fromkeys(name for name, _ in told))
    given = ["b/x2", "a/x2", "a/truth", "other"]
    assert names == ["bicubic", "sharper bicubic", *given, "target", "truth"]
    for name, bias in (("b/x2", 0.03), ("a/x2", 0.0), ("a/truth", 0.01), ("other", 0.02)):
        assert told[name, "B2"]["radiometric_mean"] == pytest.approx(bias, abs=1e-3)
    content = json.loads((dst / "metrics.json").read_text())
    assert content["networks"]["b/x2"] == {"architecture": "cubic", "mode": "baseline"}


def test_names_of_any_kind_reach_the_tables_escaped(src: Path, tmp_path: Path) -> None:
    name = "a_$5 & \x1b[31m\udcff"
    folder = sisr_networks.write(tmp_path / name, sisr_networks.card())
    dst = command(src, str(folder), tmp_path / "out")
    shown = escape(name)
    assert shown == r"a_$5 & \x1b[31m\xff"
    assert (shown, "B2") in table(dst)
    assert shown in json.loads((dst / "metrics.json").read_text())["metrics"]
    assert r"a\_\$5 \& \textbackslash{}x1b[31m" in (dst / "table.tex").read_text()


def test_refuses_a_registration_that_does_not_fit(
    src: Path, folders: str, tmp_path: Path, capsys: Any
) -> None:
    first, out = folders.split(",")[0], tmp_path / "out"
    for name, how, message in (
        ("band", {"band": "B4"}, "found one by B4"),
        ("metres", {"metres": 20.0}, "expected a registration of 10 m, as B8"),
    ):
        folder = sisr_networks.write_registration(tmp_path / name, **how)  # type: ignore[arg-type]
        assert message in refuse(capsys, src, first, out, f"--registration={folder}")
    assert "registration.json, found none" in refuse(
        capsys, src, first, out, f"--registration={first}"
    )
    (folder / "registration.json").write_text('{"band": 3}')
    assert "not a registration" in refuse(capsys, src, first, out, f"--registration={folder}")


def test_refuses_pairs_that_cannot_be_measured(folders: str, tmp_path: Path, capsys: Any) -> None:
    first, out = folders.split(",")[0], tmp_path / "out"
    small = tmp_path / "small.h5"
    pair_files.write(small, pair_files.form(12))
    expected = "expected 32 pixels along a side of high or more with --margin 8, found 24"
    assert expected in refuse(capsys, small, first, out)
    flat, none = tmp_path / "flat.h5", tmp_path / "none.h5"
    values = pair_files.write(none, pair_files.form(24), split=np.zeros(6, np.uint8))
    assert "expected testing rows, found none" in refuse(capsys, none, first, out)
    assert "correlation of at least 0.9" in refuse(
        capsys, none, first, out, "--split=training", "--min_correlation=0.9"
    )
    values["high"][:, 8:-8, 8:-8, 1] = 300
    pair_files.write(flat, pair_files.form(24), high=values["high"])
    assert "high: B8: expected more than one value" in refuse(capsys, flat, first, out)
    names = ("B2", "NIR")
    odd = {"low": sisr.Bands(names, 10.0), "high": sisr.Bands(names, 5.0)}
    pair_files.write(tmp_path / "odd.h5", sisr.Form(24, odd))
    assert "expected bands of Sentinel-2" in refuse(capsys, tmp_path / "odd.h5", first, out)
