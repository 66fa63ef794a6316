"""sr_train: the starts, all six methods, better than bicubic, going on after kill -9, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from spandrel import ModelLoader
from torch import nn
from torch.nn import functional

from shared import cli, lcz, patches
from shared.errors import StageError
from shared.sr import bands, triplets, wald
from shared.sr.networks import edsr, rrdb, vdsr
from stages.sr_train import (
    adversary,
    channels,
    checkpoints,
    methods,
    networks,
    pairs,
    quality,
    training,
)
from stages.sr_train import main as stage
from tests.conftest import pixels, write_patches, write_raw

SMALL = {"width": "8", "depth": "1", "batch": "8", "lr": "3e-3", "device": "cpu"}
OWN = {"swinir": {"heads": "2"}}
ROOT = Path(__file__).resolve().parents[2]
# Methods with all scales that their stages are asked for.
VARIANTS = [("vdsr", 2), ("vdsr", 3), ("edsr", 2), ("edsr", 4), ("esrgan", 2), ("swinir", 2),
            ("bsrnet", 2), ("realesrgan", 4)]  # fmt: skip


def line(src: Path, dst: Path, *flags: str) -> list[str]:
    """The command line of a small training, with these flags instead of or beside its own."""
    own = SMALL | dict(flag.lstrip("-").split("=", 1) for flag in flags)
    own |= OWN.get(own.get("method", "swinir"), {})
    return [f"--src={src}", f"--dst={dst}", *(f"--{name}={value}" for name, value in own.items())]


def command(src: Path, dst: Path, *flags: str) -> bytes:
    """Run the stage as its container does; the file it wrote."""
    cli.main(stage.run, line(src, dst, *flags))
    return dst.read_bytes()


def facts(path: Path) -> dict[str, Any]:
    """What the product says of itself."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["sr-train"])


def untrained(method: str, scale: int, **given: Any) -> nn.Module:
    """A small network as training begins with it."""
    torch.manual_seed(0)
    fields: dict[str, Any] = {"width": 8, "depth": (1,)}
    if method == "swinir":
        fields["heads"] = 2
    size = methods.Size(**(fields | given))
    return networks.build(method, scale, methods.complete_size(method, size))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """60 patches of sharp random rectangles: something to restore."""
    rng, arrays = np.random.default_rng(0), pixels(60)
    for patch in arrays["sen2"]:
        for _ in range(12):
            top, left = rng.integers(0, 28, 2)
            high, wide = rng.integers(3, 12, 2)
            patch[top : top + high, left : left + wide] += rng.normal(0, 0.05, 10)
    arrays["sen2"] = arrays["sen2"].clip(0, 2.8)
    (tmp_path / "prepare").mkdir()
    return write_patches(tmp_path / "prepare" / "training.h5", arrays)


# --- pairs ----------------------------------------------------------------------------------------
def test_held_out_are_whole_cities_or_runs_of_rows(prepared: Path) -> None:
    with patches.read(prepared, "sen2") as source:
        held = pairs.held_out(source)
        known, kept = pairs.load(source, lcz.SEN2.bands, 2, 0, bands.to_planes)
    assert 0 < held.sum() < 6
    assert len(kept.low) == held.sum()
    assert len(known.low) == 10 * (34 - held.sum())


def test_held_out_are_the_rows_that_the_file_marks(tmp_path: Path) -> None:
    marks = np.zeros(34, np.uint8)
    marks[[0, 7]] = 1
    city = np.arange(34) // 2
    raw = write_raw(tmp_path / "a.h5", pixels(34) | {"city": city, "validation": marks})
    with patches.read(raw, "sen2") as source:
        assert np.flatnonzero(pairs.held_out(source)).tolist() == [0, 7]
    raw = write_raw(tmp_path / "b.h5", pixels(34) | {"city": city, "validation": 0 * marks})
    with patches.read(raw, "sen2") as source:
        assert np.flatnonzero(pairs.held_out(source)).tolist() == [0, 1, 20, 21]


def test_pairs_are_in_the_unit_of_their_low_side() -> None:
    sen2 = pixels(3)["sen2"].astype(np.float32)
    both = pairs.degrade_patches(sen2[:, :31, :30], lcz.SEN2.bands, 3)
    assert (both.low.shape, both.high.shape) == ((3, 10, 10, 10), (3, 30, 30, 10))
    np.testing.assert_array_equal(both.low, wald.degrade(both.high, lcz.SEN2.bands, 3))
    sides = pairs.pair(both, bands.to_planes)
    assert (sides.low.min((2, 3)) == 0).all()
    np.testing.assert_allclose(sides.low.max((2, 3)), 1)
    low, span = bands.measure_ranges(bands.to_planes(both.low))
    back = bands.restore(sides.high, low, span)
    np.testing.assert_allclose(bands.to_images(back, 10), both.high, atol=1e-6)


def test_triplets_hold_three_bands_and_come_back_as_ten() -> None:
    sen2 = pixels(2)["sen2"].astype(np.float32)
    given = channels.choose_gather(Path(), 3, lcz.SEN2.bands)(sen2)
    assert given.shape == (8, 3, 32, 32)
    np.testing.assert_array_equal(given[0, 0], sen2[0, ..., lcz.SEN2.bands.index("B4")])
    restore = channels.make_restorer(nn.Identity(), 3, lcz.SEN2.bands, "cpu")
    np.testing.assert_allclose(restore(sen2), sen2, atol=1e-6)


# --- where training begins ------------------------------------------------------------------------
def inner(images: torch.Tensor, border: int) -> torch.Tensor:
    """Without the pixels that the zeros around an image reach."""
    return images[..., border:-border, border:-border]


@pytest.mark.parametrize(("method", "scale"), [*VARIANTS, ("edsr", 3), ("swinir", 4)])
def test_starts_near_interpolation(method: str, scale: int) -> None:
    network, channels = untrained(method, scale), methods.METHODS[method].channels
    low = functional.interpolate(torch.rand(2, channels, 6, 6), size=24, mode="bicubic")
    mode = "bicubic" if method == "vdsr" else "bilinear"
    expected = functional.interpolate(
        low, scale_factor=scale, mode=mode, antialias=method == "vdsr"
    )
    with torch.no_grad():
        enlarged = network(low)
    assert enlarged.shape == expected.shape
    assert inner(enlarged - expected, 2 * scale).abs().mean() < (1e-6 if method == "vdsr" else 0.1)


@pytest.mark.parametrize(("method", "scale"), [("edsr", 2), ("bsrnet", 2), ("esrgan", 2)])
def test_what_is_carried_is_bilinear_to_rounding(method: str, scale: int) -> None:
    """Beside it, only the last layer lets other features through."""
    network, channels = untrained(method, scale), methods.METHODS[method].channels
    last = network.tail[1] if method == "edsr" else network.model[-1]
    with torch.no_grad():
        last.weight[:, channels:] = 0  # the features that are not carried
        low = torch.rand(1, channels, 12, 12)
        expected = functional.interpolate(low, scale_factor=scale, mode="bilinear")
        assert inner(network(low) - expected, scale).abs().max() < 1e-6


# --- the product ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "scale"), VARIANTS)
def test_all_methods_learn_and_their_stages_open_the_weights(
    shapes: Path, tmp_path: Path, method: str, scale: int
) -> None:
    dst = tmp_path / "weights.safetensors"
    command(shapes, dst, f"--method={method}", f"--scale={scale}", "--steps=3")
    metadata = facts(dst)
    assert (metadata["method"], metadata["scale"], metadata["width"], metadata["depth"]) == (
        method, scale, 8, [1],
    )  # fmt: skip
    assert set(metadata["psnr_per_band"]) == set(lcz.SEN2.bands)
    assert metadata["patches"] == {"learned": 54, "held_out": 6}
    own = {"vdsr": vdsr.load, "edsr": edsr.load, "bsrnet": rrdb.load, "realesrgan": rrdb.load}
    if method in own:
        network = own[method](dst, scale, "first")
    elif method == "esrgan":
        network = rrdb.read(dst, scale)
    else:
        network = ModelLoader("cpu").load_from_file(dst).model
    channels = methods.METHODS[method].channels
    with torch.inference_mode():
        assert network(torch.rand(2, channels, 16, 16)).shape == (
            2, channels, 16 * scale, 16 * scale,
        )  # fmt: skip


def basicsr(width: int, growth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of BasicSR's RRDBNet: one channel, one block, ×4, as `realesrgan` has it."""
    square = dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (width, width))
    layers = {"conv_first": (width, 1), **square, "conv_last": (1, width)}
    for dense in (1, 2, 3):
        for i in (1, 2, 3, 4, 5):
            out = width if i == 5 else growth
            layers[f"body.0.rdb{dense}.conv{i}"] = (out, width + (i - 1) * growth)
    shapes: dict[str, tuple[int, ...]] = {f"{n}.weight": (*s, 3, 3) for n, s in layers.items()}
    return shapes | {f"{name}.bias": shape[:1] for name, shape in layers.items()}


def test_real_esrgan_is_spelled_as_basicsr_does(shapes: Path, tmp_path: Path) -> None:
    dst = tmp_path / "x4.safetensors"
    command(shapes, dst, "--method=realesrgan", "--scale=4", "--steps=1")
    tensors = load_file(dst)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == basicsr(8, 4)
    torch.testing.assert_close(
        tensors["conv_up1.weight"][0, 0, 1, 1], torch.tensor(0.25), atol=0.01, rtol=0
    )


@pytest.mark.parametrize("window", [5, 8, 10])
def test_windows_of_any_side(window: int) -> None:
    """64 pixels, for which spandrel lays out its masks, are a multiple of few of them."""
    network = untrained("swinir", 2, depth=(2,), window=window)
    assert network(torch.zeros(1, 1, 13, 22)).shape == (1, 1, 26, 44)


@pytest.mark.parametrize(
    ("method", "flags"),
    [
        ("vdsr", ("--depth=3",)),
        ("edsr", ()),
        ("swinir", ("--depth=2", "--heads=2")),
        ("bsrnet", ()),
    ],
)
def test_beats_bicubic(shapes: Path, tmp_path: Path, method: str, flags: tuple[str, ...]) -> None:
    command(shapes, tmp_path / "x2", f"--method={method}", "--steps=80", "--batch=16", *flags)
    psnr = facts(tmp_path / "x2")["psnr"]
    assert psnr["network"] > psnr["bicubic"] + 0.3


def test_quality_is_the_pooled_error_against_bicubic() -> None:
    sen2 = pixels(3)["sen2"].astype(np.float32)
    held = pairs.degrade_patches(sen2, lcz.SEN2.bands, 2)
    off = quality.measure(
        lambda low: np.repeat(low, 2, 1).repeat(2, 2) * 0 + 0.5, held, lcz.SEN2.bands
    )
    expected = -10 * np.log10(np.square(held.high.astype(float) - 0.5).mean())
    assert off["psnr"]["network"] == pytest.approx(expected, abs=1e-3)
    same = quality.measure(lambda low: quality.bicubic(low, (32, 32)), held, lcz.SEN2.bands)
    assert same["psnr"]["network"] == same["psnr"]["bicubic"]


def test_same_seed_same_file_other_seed_other_weights(prepared: Path, tmp_path: Path) -> None:
    one = command(prepared, tmp_path / "a", "--steps=2")
    assert command(prepared, tmp_path / "b", "--steps=2") == one
    command(prepared, tmp_path / "c", "--steps=2", "--seed=1")
    weights = [load_file(tmp_path / name)["conv_first.weight"] for name in "ac"]
    assert not torch.equal(*weights)


def test_what_libraries_warn_of_is_not_told(
    prepared: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    command(prepared, tmp_path / "a", "--steps=1")
    assert [str(warning.message) for warning in recwarn if "lightning" in warning.filename] == []


# --- the adversary --------------------------------------------------------------------------------
def test_relativistic_loss_by_hand() -> None:
    even = adversary.relativistic(torch.zeros(4), torch.zeros(4))
    assert float(even) == pytest.approx(np.log(2))
    apart = adversary.relativistic(torch.tensor([1.0]), torch.tensor([-1.0]))
    assert float(apart) == pytest.approx(np.log1p(np.exp(-2)))


def test_adversary_learns_and_is_not_in_the_product(prepared: Path) -> None:
    with patches.read(prepared, "sen2") as source:
        known, _ = pairs.load(source, lcz.SEN2.bands, 4, 0, bands.to_planes)
    network = untrained("realesrgan", 4)
    how = {"steps": 4, "batch": 4, "lr": 1e-3, "seed": 0}
    contest = adversary.make_trainee(network, known, 0.1, **how)
    assert type(adversary.make_trainee(network, known, 0.0, **how)) is training.Trainee
    before = contest.judge[0].weight.detach().clone()
    checkpoints.fit(contest, prepared.with_name("state"), "cpu", "32-true")
    assert contest.trainer.global_step == 8
    assert not torch.equal(contest.judge[0].weight, before)
    assert all(weight.requires_grad for weight in contest.judge.parameters())


def test_adversarial_weight_changes_the_weights(prepared: Path, tmp_path: Path) -> None:
    flags = ("--method=esrgan", "--steps=4")
    for weight in (0.1, 0.2):
        command(prepared, tmp_path / str(weight), *flags, f"--adversarial={weight}")
    one, two = (load_file(tmp_path / str(weight))["model.0.weight"] for weight in (0.1, 0.2))
    assert one.shape == (8, 3, 3, 3)
    assert not torch.equal(one, two)


# --- going on -------------------------------------------------------------------------------------
WAYS = [("--method=edsr",), ("--method=esrgan", "--adversarial=0.1")]


@pytest.mark.parametrize("way", WAYS)
def test_goes_on_after_a_crash(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...]
) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=6", *way)
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", 0)
    draw, drawn = training.Trainee.draw, []

    def crash_once(self: training.Trainee, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(step)
        if drawn == [0, 1, 2, 3]:
            raise OSError("the machine is gone")
        return draw(self, step)

    monkeypatch.setattr(training.Trainee, "draw", crash_once)
    with pytest.raises(SystemExit, match="1"):
        command(prepared, tmp_path / "out", "--steps=6", *way)
    assert not (tmp_path / "out").exists()
    assert command(prepared, tmp_path / "out", "--steps=6", *way) == whole
    assert drawn == [0, 1, 2, 3, 3, 4, 5]


def stop_after_training(
    src: Path, dst: Path, monkeypatch: pytest.MonkeyPatch, way: tuple[str, ...]
) -> None:
    """Leave the checkpoint of the second and last step."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SAVE_SECONDS", 0)
        patch.setattr(quality, "errors", lambda *_: 1 / 0)
        with pytest.raises(SystemExit, match="1"):
            command(src, dst, "--steps=2", *way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("broken", [False, True])
def test_goes_on_after_the_last_step_and_discards_a_broken_partial(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: tuple[str, ...],
    broken: bool,
) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=2", *way)
    stop_after_training(prepared, tmp_path / "out", monkeypatch, way)
    if broken:
        (tmp_path / "out.partial").write_bytes(b"half a checkpoint")
    assert command(prepared, tmp_path / "out", "--steps=2", *way) == whole


def test_goes_on_after_kill_9(prepared: Path, tmp_path: Path) -> None:
    flags = ("--method=realesrgan", "--scale=4", "--adversarial=0.1", "--steps=40", "--batch=2")
    whole = command(prepared, tmp_path / "whole", *flags)
    dst = tmp_path / "out"
    code = (
        "import sys; from stages.sr_train import checkpoints, main; from shared import cli;"
        "checkpoints.SAVE_SECONDS = 0; cli.main(main.run, sys.argv[1:])"
    )
    argv = [sys.executable, "-c", code, *line(prepared, dst, *flags)]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=-3, stdout=-3)
    partial = dst.with_name("out.partial")
    while not partial.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert partial.exists()
    assert command(prepared, dst, *flags) == whole


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scale=5", "--scale: expected 2 to 4, found 5"),
        ("--scale=3 --method=esrgan", "--scale: expected 2 or 4 for esrgan, found 3"),
        ("--method=realesrgan", "--scale: expected 4 for realesrgan, found 2"),
        ("--method=srcnn", "--method: expected vdsr, edsr, esrgan, swinir, bsrnet or realesrgan"),
        ("--steps=0", "--steps: expected at least 1, found 0"),
        ("--width=9", "--width: expected a multiple of --heads 2, found 9"),
        ("--width=-1", "--width: expected at least 1, found -1"),
        ("--width=9 --method=bsrnet", "--width: expected an even number from 6 for bsrnet"),
        ("--depth=0", "--depth: expected at least 1 or several, separated by commas, found 0"),
        ("--depth=1,1 --method=vdsr", "--depth: expected one number for vdsr, found (1, 1)"),
        ("--window=8 --method=edsr", "--window: only for swinir, found 8 for edsr"),
        ("--adversarial=0.1", "--adversarial: only for esrgan and realesrgan, found 0.1 for swin"),
        ("--adversarial=0.1 --method=bsrnet", "--adversarial: only for esrgan and realesrgan"),
        ("--upsampler=bicubic", "--upsampler: expected pixelshuffledirect or pixelshuffle, found"),
        ("--precision=half", "--precision: expected float32 or bfloat16"),
        ("--device=tpu", "--device: expected auto, cpu or cuda, found"),
        ("--window=32", "expected sides of at least 64 pixels at this scale, found 32 × 32"),
        ("--stepz=4", "did you mean --steps"),
    ],
)
def test_refuses(lcz42: Path, capsys: pytest.CaptureFixture[str], flags: str, message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out"), *flags.split())
    assert message in capsys.readouterr().err
    assert [lcz42] == list(lcz42.parent.iterdir())


@pytest.mark.parametrize("fault", ["nan", "few"])
def test_refuses_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    arrays = pixels(34 if fault == "nan" else 1)
    if fault == "nan":
        arrays["sen2"][7, 3, 3, 3] = np.nan
    src = write_raw(tmp_path / "raw.h5", arrays)
    with pytest.raises(SystemExit, match="2"):
        command(src, tmp_path / "out")
    message = {"nan": "NaN or infinite values in rows 7", "few": "found 1 and 0"}[fault]
    assert message in capsys.readouterr().err
    assert [src] == list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0, 3600])
def test_refuses_a_training_that_does_not_stay_finite(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, seconds: int,
) -> None:  # fmt: skip
    """At the next checkpoint, which is not written, or at the end."""
    monkeypatch.setattr(checkpoints, "SAVE_SECONDS", seconds)
    steps = 200 if seconds == 0 else 20
    with pytest.raises(SystemExit, match="2"):
        command(
            prepared, tmp_path / "new" / "out", "--method=edsr", "--lr=1e20", f"--steps={steps}"
        )
    said = capsys.readouterr().err
    assert "--lr: expected one at which the weights stay finite, found 1e+20" in said
    assert (f"{steps}/{steps}" in said) == bool(seconds)
    assert not (tmp_path / "new").exists()


def test_refuses_bands_that_are_not_those_of_the_triplets() -> None:
    with pytest.raises(StageError, match=r"^a.h5: sen2: expected the bands B11, .* found B2, B3"):
        channels.choose_gather(Path("a.h5"), 3, ("B2", "B3"))
    assert triplets.match(lcz.SEN2.bands)
