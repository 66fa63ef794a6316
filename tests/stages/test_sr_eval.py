"""sr_eval: figures known by hand, three ways, bicubic always there, tables, picture, refusals."""

import csv
import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional import mean_squared_error
from torchmetrics.functional.image import peak_signal_noise_ratio

from shared import cli, lcz, patches
from shared.runs import record
from shared.terminal import escape
from stages.sr_degrade import main as degrade
from stages.sr_eval import compare, files, panel, quality, tables
from stages.sr_eval import main as stage
from tests import hostile
from tests.conftest import write_patches, write_raw

Array = NDArray[np.float32]
LAYOUT = lcz.SEN2


def scenes(rows: int = 17, side: int = 32) -> Array:
    """(rows, side, side, 10) smooth random ground with a bright square, steps of 1e-4."""
    rng = np.random.default_rng(3)
    rough = np.kron(rng.random((rows, side // 4, side // 4, 10)), np.ones((1, 4, 4, 1)))
    smooth = np.zeros_like(rough)
    for shift in range(-2, 3):
        for axis in (1, 2):
            smooth += np.roll(rough, shift, axis)
    smooth /= 10
    smooth[:, 8:20, 10:22] += 0.3
    return np.round(0.05 + 0.2 * smooth, 4).astype(np.float32)


def store(path: Path, sen2: Array) -> Path:
    """A patch file as `prepare` and the sr-* stages make it, every class in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sen1 = np.zeros((*sen2.shape[:3], 8))
    label = np.eye(17)[np.arange(len(sen2)) % 17]
    return write_patches(path, {"sen1": sen1, "sen2": sen2, "label": label})


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """The truth."""
    return store(tmp_path / "prepare" / "testing.h5", scenes())


def command(src: Path, dst: Path, *flags: str, **files: Path | list[Path]) -> dict[str, Any]:
    """Run the stage as its container does; its metrics.json."""
    for name, paths in files.items():
        paths = paths if isinstance(paths, list) else [paths]
        flags = (*flags, f"--{name}={','.join(map(str, paths))}")
    cli.main(stage.run, [f"--src={src}", f"--dst={dst}", *flags])
    return json.loads((dst / "metrics.json").read_text())


def of(restored: Array, reference: Array, ring: int = 1, peak: float = 1.0) -> dict[str, dict]:
    bands = LAYOUT.bands[: restored.shape[-1]]
    return quality.figures(quality.sums(restored, reference, ring, peak), peak, bands)


# --- figures --------------------------------------------------------------------------------------
def test_an_error_of_a_hundredth_everywhere_is_forty_decibels() -> None:
    reference = np.zeros((3, 8, 8, 2), np.float32)
    reference[..., 1] = 0.5
    figures = of(reference + np.array([0.01, 0], np.float32), reference)
    assert figures["B2"]["rmse"] == pytest.approx(0.01)
    assert figures["B2"]["psnr"] == pytest.approx(40)
    assert figures["B2"]["border"] == pytest.approx(1)
    assert figures["all"]["rmse"] == pytest.approx(0.01 / math.sqrt(2))
    assert figures["all"]["psnr"] == pytest.approx(40 + 10 * math.log10(2))
    assert figures["all"]["ssim"] == pytest.approx((figures["B2"]["ssim"] + 1) / 2)
    assert of(reference + np.float32(0.01), reference, peak=0.1)["B2"]["psnr"] == pytest.approx(20)


def test_all_pixels_are_pooled_and_the_mean_of_patches_is_another_figure() -> None:
    reference = np.full((2, 8, 8, 1), 0.5, np.float32)
    restored = reference + np.array([0.1, 0.001], np.float32)[:, None, None, None]
    figures = of(restored, reference)["all"]
    assert figures["psnr"] == pytest.approx(-10 * math.log10((0.01 + 1e-6) / 2), abs=1e-3)
    assert figures["psnr_of_patches"] == pytest.approx((20 + 60) / 2, abs=1e-3)


def test_the_spectral_angle_is_that_of_the_hand_and_zero_spectra_have_none() -> None:
    reference = np.zeros((1, 8, 8, 2), np.float32)
    reference[0, :4, :, 0] = 1  # the rest is nodata
    restored = np.ones_like(reference)
    assert of(restored, reference)["all"]["angle"] == pytest.approx(45)
    assert of(3 * reference, reference)["all"]["angle"] == pytest.approx(0, abs=1e-5)
    assert "angle" not in of(restored, np.zeros_like(reference))["all"]


def test_without_an_error_there_is_no_bound_and_no_nan() -> None:
    for reference in (scenes(2), np.zeros((2, 8, 8, 10), np.float32)):
        figures = of(reference, reference)["all"]
        assert figures["psnr"] is None
        assert figures["border"] is None
        assert figures["rmse"] == 0
        assert figures["psnr_of_patches"] == quality.EXACT
        assert figures["ssim"] == pytest.approx(1)
        text = tables.as_json({("wald", 2, "exact"): {"all": figures}}, {})
        assert json.loads(text)["wald"]["x2"]["exact"]["all"]["psnr"] is None


def test_border_is_the_outer_ring() -> None:
    reference = np.zeros((1, 12, 12, 1), np.float32)
    restored = np.full_like(reference, 0.03)
    restored[:, 2:-2, 2:-2] = 0.01
    assert of(restored, reference, ring=2)["all"]["border"] == pytest.approx(3)
    assert of(restored, reference, ring=6)["all"]["border"] is None  # nothing is inside


def test_figures_are_those_of_torchmetrics_for_any_number_of_blocks() -> None:
    truth = scenes(9)
    noise = np.random.default_rng(1).normal(0, 0.01, truth.shape).astype(np.float32)
    whole = quality.sums(truth + noise, truth, 2, 1.0)
    parts: quality.Sums = {}
    for i in range(9):
        here = slice(i, i + 1)
        parts = quality.add(parts, quality.sums((truth + noise)[here], truth[here], 2, 1.0))
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-9)
    figures = quality.figures(whole, 1.0, LAYOUT.bands)
    a, b = (torch.from_numpy(x).double().movedim(-1, 1) for x in (truth + noise, truth))
    assert figures["all"]["psnr"] == pytest.approx(float(peak_signal_noise_ratio(a, b, 1.0)))
    each = peak_signal_noise_ratio(a, b, 1.0, dim=(1, 2, 3), reduction="none")
    assert figures["all"]["psnr_of_patches"] == pytest.approx(float(each.mean()))
    square = mean_squared_error(a[:, 4].contiguous(), b[:, 4].contiguous())
    assert figures["B6"]["rmse"] == pytest.approx(float(square) ** 0.5)


# --- what is compared -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("total", "rows"), [(5, 9), (40, 40), (100, 40), (50, 49), (352_366, 2048)]
)
def test_runs_are_short_apart_and_spread_over_the_file(total: int, rows: int) -> None:
    runs = compare.runs(total, rows)
    seen = np.concatenate([np.arange(total)[run] for run in runs])
    assert len(seen) == len(set(seen.tolist())) <= rows
    assert len(seen) >= min(total, rows) - len(runs)
    assert max(run.stop - run.start for run in runs) <= compare.RUN
    if rows >= total:
        assert seen.tolist() == list(range(total))
    assert seen[-1] >= total - total // len(runs)


def test_what_is_degraded_here_is_what_the_stage_stores(src: Path) -> None:
    for scale in (2, 3, 4):
        low = src.with_name(f"low{scale}.h5")
        cli.main(degrade.run, [f"--src={src}", f"--dst={low}", f"--scale={scale}"])
        with patches.read(src, "sen2") as truth, patches.read(low, "sen2") as source:
            expected = compare.degrade_as_stored(truth["sen2"][:], scale, LAYOUT)
            np.testing.assert_array_equal(source["sen2"][:], expected)


def test_bicubic_has_the_weights_of_its_formula() -> None:
    """At distances of 0.25, 0.75, 1.25 and 1.75 pixels, a = -0.75; a constant stays one."""
    line = np.full((1, 16, 16, 1), 0.5, np.float32)
    line[0, :, 8] = 1.5
    large = compare.bicubic(line, 2, LAYOUT)[0, 5, :, 0] - 0.5
    half = [-0.03515625, -0.10546875, 0.26171875, 0.87890625]
    np.testing.assert_allclose(large[12:22], [0, *half, *half[::-1], 0], atol=1e-6)


def test_perfect_wald_consistency_and_no_departure(src: Path, tmp_path: Path) -> None:
    """The truth beats bicubic; bicubic as a method gets the figures of bicubic."""
    truth = scenes()
    low = compare.degrade_as_stored(truth, 2, LAYOUT)
    exact = store(tmp_path / "sr-exact" / "x2" / "wald.h5", truth)
    cubic = store(tmp_path / "sr-cubic" / "x2" / "wald.h5", compare.bicubic(low, 2, LAYOUT))
    large = compare.bicubic(truth, 2, LAYOUT)
    departed = store(tmp_path / "sr-cubic" / "x2" / "testing.h5", large)
    made = command(src, tmp_path / "eval", wald=[exact, cubic], enlarged=departed)
    assert made["rows"] == 17
    pooled = {name: figures["all"] for name, figures in made["wald"]["x2"].items()}
    assert pooled["exact"]["psnr"] is None
    assert pooled["exact"]["ssim"] == 1
    assert pooled["cubic"]["psnr"] == pytest.approx(pooled["bicubic"]["psnr"], abs=0.01)
    again = {name: figures["all"] for name, figures in made["consistency"]["x2"].items()}
    assert again["cubic"]["rmse"] == pytest.approx(again["bicubic"]["rmse"], rel=0.01)
    assert made["departure"]["x2"]["cubic"]["all"]["rmse"] < 4e-5  # the rounding of the file
    assert set(made["wald"]["x2"]["cubic"]) == {"all", *LAYOUT.bands}


def test_a_shifted_method_is_worse_than_bicubic_and_one_with_seams_shows_them(
    src: Path, tmp_path: Path
) -> None:
    truth, low = scenes(), compare.degrade_as_stored(scenes(), 2, LAYOUT)
    cubic = compare.bicubic(low, 2, LAYOUT)
    seams = cubic.copy()
    seams[:, [0, -1]] += 0.05
    shifted = store(tmp_path / "sr-shifted" / "x2" / "wald.h5", np.roll(cubic, 1, 2))
    seamed = store(tmp_path / "sr-seamed" / "x2" / "wald.h5", seams)
    better = store(tmp_path / "sr-better" / "x2" / "wald.h5", (cubic + truth) / np.float32(2))
    made = command(src, tmp_path / "eval", wald=[shifted, seamed, better])["wald"]["x2"]
    pooled = {name: figures["all"] for name, figures in made.items()}
    assert pooled["shifted"]["psnr"] < pooled["bicubic"]["psnr"] < pooled["better"]["psnr"]
    assert pooled["shifted"]["ssim"] < pooled["bicubic"]["ssim"] < pooled["better"]["ssim"]
    assert pooled["better"]["psnr"] == pytest.approx(pooled["bicubic"]["psnr"] + 6.02, abs=0.02)
    assert pooled["seamed"]["border"] > 1.5 * pooled["bicubic"]["border"]


def test_constant_and_nodata_patches_give_numbers(tmp_path: Path) -> None:
    truth = scenes()
    truth[2], truth[3, ..., 4] = 0, 0.25
    src = store(tmp_path / "prepare" / "testing.h5", truth)
    cubic = compare.bicubic(compare.degrade_as_stored(truth, 2, LAYOUT), 2, LAYOUT)
    other = store(tmp_path / "sr-other" / "x2" / "wald.h5", cubic)
    command(src, tmp_path / "eval", wald=other)
    assert "NaN" not in (tmp_path / "eval" / "metrics.json").read_text()


# --- names ----------------------------------------------------------------------------------------
def recorded(path: Path, stage: str, scale: int, weights: str) -> Path:
    inputs = {"weights": weights}
    plan = {"stage": stage, "parameters": {"scale": scale}, "inputs": inputs}
    record.save(path, {"plan": plan, "output": record.fingerprint(path)})
    return path


def test_the_record_says_method_and_scale_else_the_place_else_the_name(
    src: Path, tmp_path: Path
) -> None:
    truth = scenes()
    first = recorded(store(tmp_path / "a.h5", truth), "sr-swinir", 4, "aaaaaaaaa")
    second = recorded(store(tmp_path / "b.h5", truth), "sr-swinir", 4, "bbbbbbbbb")
    third = store(tmp_path / "sr-edsr" / "x3" / "wald.h5", truth[:, :30, :30])
    fourth = store(tmp_path / "mine.h5", truth)
    made = command(src, tmp_path / "eval", wald=[first, fourth, second, third])["wald"]
    assert {scale: [*methods] for scale, methods in made.items()} == {
        "x2": ["bicubic", "mine"],
        "x3": ["bicubic", "edsr"],
        "x4": ["bicubic", "swinir aaaaaa", "swinir bbbbbb"],
    }


# --- files ----------------------------------------------------------------------------------------
def test_tables_say_the_same_in_three_languages(
    src: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = store(tmp_path / "sr-50%_exact" / "x2" / "wald.h5", scenes())
    made = command(src, tmp_path / "eval", wald=exact)["wald"]["x2"]["bicubic"]
    with (tmp_path / "eval" / "metrics.csv").open() as file:
        lines = {(*line.values(),)[:5]: line["value"] for line in csv.DictReader(file)}
    assert float(lines["wald", "2", "bicubic", "all", "rmse"]) == made["all"]["rmse"]
    assert float(lines["wald", "2", "bicubic", "B8A", "ssim"]) == made["B8A"]["ssim"]
    assert lines["wald", "2", "50%_exact", "all", "psnr"] == "inf"
    tex = (tmp_path / "eval" / "table.tex").read_text()
    assert r"50\%\_exact & $\infty$ & 100.00 & 1.0000 & 0.00000 & 0.000 & -- \\" in tex
    assert f"bicubic & {made['all']['psnr']:.2f} & " in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\bottomrule") == 2
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'eval'}\n"
    assert "wald ×2: restored from a degraded copy, against the original" in said.err
    assert f"{made['all']['rmse']:.5f}" in said.err


def test_the_picture_is_the_same_bytes_and_shows_every_method(src: Path, tmp_path: Path) -> None:
    truth = scenes()
    low = compare.degrade_as_stored(truth, 2, LAYOUT)
    wald = store(tmp_path / "sr-edsr" / "x2" / "wald.h5", compare.bicubic(low, 2, LAYOUT))
    large = compare.bicubic(truth, 4, LAYOUT)
    big = store(tmp_path / "sr-edsr" / "x4" / "testing.h5", large)
    for name in ("a", "b"):
        command(src, tmp_path / name, "--panel=2", wald=wald, enlarged=big)
    first, second = ((tmp_path / name / "panel.png").read_bytes() for name in ("a", "b"))
    assert first == second
    assert b"matplotlib" not in first
    picture = (panel.canvas.plt.imread(tmp_path / "a" / "panel.png")[..., :3] * 255).round()
    canvas = panel.canvas
    groups = ["x2"] * 4 + ["x4"] * 3  # input bicubic edsr original; input bicubic edsr
    left, size, top = canvas.places(groups), canvas.CELL, canvas.TOP
    assert picture.shape[:2] == (top + 2 * (2 * (size + canvas.GAP) + canvas.APART),
                                 left[-1] + size + canvas.EDGE)  # fmt: skip
    cells = [picture[top : top + size, x : x + size] for x in left]
    np.testing.assert_array_equal(cells[3], cells[4])  # the original, as input of the larger one
    assert all(np.abs(cell - cells[3]).mean() > 1 for cell in cells[:3])
    assert np.abs(cells[1] - cells[2]).max() <= 1


def test_all_columns_of_a_scale_show_the_same_ground(src: Path, tmp_path: Path) -> None:
    """32 pixels are 30 at x3: the original, too, else it would seem shifted."""
    store(tmp_path / "sr-vdsr" / "x3" / "wald.h5", scenes()[:, :30, :30])
    collected = files.collect((tmp_path / "sr-vdsr" / "x3" / "wald.h5",), (), 2)
    with ExitStack() as stack:
        truth = stack.enter_context(patches.read(src, "sen2"))
        shown = panel.columns(truth, files.open_all(collected, truth, stack), 5, {})
    sides = {heading: image.shape[:2] for _, heading, image in shown}
    assert sides == {"input": (10, 10), **dict.fromkeys(("bicubic", "VDSR", "original"), (30, 30))}


def test_lively_rows_are_spread() -> None:
    rows, steps = np.arange(40), np.tile(np.arange(10.0), 4)
    assert panel.choose_rows(rows, steps, 4) == [8, 18, 28, 38]
    assert panel.choose_rows(rows[:2], steps[:2], 4) == [0, 1]


# --- refusals -------------------------------------------------------------------------------------
def other_label(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["label"][5] = np.eye(17)[16]


def other_rows(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["row"][:] = file["row"][:][::-1]


def other_bands(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["sen2"].attrs["bands"] = [*file["sen2"].attrs["bands"]][::-1]


def renewed(path: Path) -> Path:
    path.unlink()
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_label, "found others in rows 5"),
        (other_rows, "expected all rows of"),
        (other_bands, "expected bands ('B2',"),
        (
            lambda p: store(renewed(p), scenes(16)),
            "expected sen2 (17, 32, 32, 10), found (16, 32, 32, 10)",
        ),
        (lambda p: store(renewed(p), scenes(17, 64)), "found (17, 64, 64, 10)"),
        (lambda p: p.write_bytes(p.read_bytes()[:9000]), "not a complete HDF5 file"),
    ],
)
def test_refuses_files_that_do_not_fit(
    src: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: object, message: str
) -> None:
    wald = store(tmp_path / "sr-edsr" / "x2" / "wald.h5", scenes())
    change(wald)  # type: ignore[operator]
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "new" / "eval", wald=wald)
    said = capsys.readouterr().err
    assert message in said
    assert str(wald) in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--wald, --enlarged: expected at least one file, found none"),
        (("--wald=W,W",), "--wald: edsr x2: expected one file, found"),
        (("--wald=W", "--rows=0"), "--rows: expected at least 1, found 0"),
        (("--wald=W", "--panel=0"), "--panel: expected 1 to 20, found 0"),
        (("--wald=W", "--peak=0"), "--peak: expected above 0, found 0.0"),
        (("--wald=W", "--scale=5"), "--scale: expected 2 to 4, found 5"),
        (("--enlarged=W",), "expected sen2 (17, 64, 64, 10), found (17, 32, 32, 10)"),
        (("--walt=W",), "did you mean --wald"),
    ],
)
def test_refuses(
    src: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    wald = store(tmp_path / "sr-edsr" / "x2" / "wald.h5", scenes())
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "new" / "eval", *(f.replace("W", str(wald)) for f in flags))
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_refuses_nan_and_small_patches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = scenes()
    truth[16, 1, 2, 3] = np.nan
    raw: dict[str, NDArray[Any]] = {"sen2": truth, "label": np.eye(17)}
    for arrays, message in (
        (raw, "sen2: NaN or infinite values in rows 16"),
        (raw | {"sen2": scenes()[:, :5, :5]}, "expected at least 6 pixels a side at x2"),
    ):
        other = write_raw(tmp_path / "raw.h5", arrays)
        good = store(tmp_path / "sr-edsr" / "x2" / "wald.h5", scenes())
        with pytest.raises(SystemExit, match="2"):
            command(other, tmp_path / "new" / "eval", wald=good)
        assert message in capsys.readouterr().err
        assert not (tmp_path / "new").exists()
        other.unlink()
        good.unlink()


@pytest.mark.data
def test_bicubic_is_the_harder_one_to_beat_on_real_patches(real: Path) -> None:
    """a = -0.75 restores what the sensor's blur took better than a = -0.5 does."""
    truth = np.load(real / "sentinel2" / "l2a_patches.npy")[:32, 16:48, 16:48] / np.float32(1e4)
    for scale in (2, 4):
        low = compare.degrade_as_stored(truth, scale, LAYOUT)
        image = torch.from_numpy(np.ascontiguousarray(np.moveaxis(low, -1, 1)))
        other = torch.nn.functional.interpolate(
            image,
            scale_factor=scale,
            mode="bicubic",
            antialias=True,  # which has a = -0.5
        ).numpy()
        softer = np.square(np.moveaxis(other, 1, -1) - truth).mean()
        assert np.square(compare.bicubic(low, scale, LAYOUT) - truth).mean() < softer


@pytest.mark.parametrize("name", hostile.NAMES.values(), ids=hostile.NAMES)
def test_files_with_hostile_names(src: Path, tmp_path: Path, name: str) -> None:
    """They are called by their name, escaped, in JSON, CSV, LaTeX and picture."""
    with patches.read(src, "sen2") as source:
        values = source["sen2"][:].repeat(2, 1).repeat(2, 2)
    path = store(tmp_path / "in" / f"{name}.h5", values)
    made = command(src, tmp_path / "out", "--panel=1", enlarged=path)
    assert list(made["departure"]["x2"]) == [escape(name)]
    for file in ("metrics.json", "metrics.csv", "table.tex"):
        assert hostile.is_calm((tmp_path / "out" / file).read_text("utf-8"))
