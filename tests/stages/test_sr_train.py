"""sr_train: the degradation, better than bicubic, going on after kill -9, the refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from spandrel import ModelLoader
from torch.nn import functional

from shared import cli, lcz, patches
from stages.sr_train import main as stage
from stages.sr_train import networks, pairs, quality, training
from tests.conftest import pixels, write_patches, write_raw

SMALL = {"width": "8", "depth": "2", "heads": "2", "batch": "16", "lr": "3e-3", "device": "cpu"}
ROOT = Path(__file__).resolve().parents[2]


def line(src: Path, dst: Path, *flags: str) -> list[str]:
    """The command line of a small training, with these flags instead of or beside its own."""
    own = SMALL | dict(flag.lstrip("-").split("=", 1) for flag in flags)
    return [f"--src={src}", f"--dst={dst}", *(f"--{name}={value}" for name, value in own.items())]


def command(src: Path, dst: Path, *flags: str) -> bytes:
    """Run the stage as its container does; the file it wrote."""
    cli.main(stage.run, line(src, dst, *flags))
    return dst.read_bytes()


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


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blur_keeps_means_and_has_the_bands_transfer_at_the_new_nyquist(scale: int) -> None:
    matrix = pairs.blur(96, scale, 0.3)
    np.testing.assert_allclose(matrix.sum(1), 1)
    centre = matrix[16]  # far from the borders
    waves = np.exp(-2j * np.pi * np.arange(96) / (2 * scale))
    assert abs(np.abs(centre @ waves) - 0.3) < 0.003
    assert abs(centre @ np.arange(96) - (16.5 * scale - 0.5)) < 1e-9  # where low pixel 16 lies


def test_degrade_uses_the_mtf_of_each_band() -> None:
    board = np.tile((np.arange(32) // 2 % 2)[None, :, None, None], (1, 1, 32, 2)).astype(np.float32)
    low = pairs.degrade(board, ("B5", "B11"), 2)
    contrast = low[0, 4:12].max((0, 1)) - low[0, 4:12].min((0, 1))
    assert low.shape == (1, 16, 16, 2)
    assert contrast[0] > contrast[1]  # MTF 0.38 against 0.22


def test_held_out_are_whole_cities_or_runs_of_rows(prepared: Path) -> None:
    with patches.read(prepared, "sen2") as source:
        held = pairs.held_out(source)
        known, kept = pairs.load(source, lcz.SEN2.bands, 2, 0)
    assert 0 < held.sum() < 6
    assert len(known.low) + len(kept.low) == 340


@pytest.mark.parametrize(("upsampler", "scale"), [("pixelshuffle", 4), ("pixelshuffledirect", 3)])
def test_starts_near_bilinear(upsampler: str, scale: int) -> None:
    torch.manual_seed(0)
    network = networks.build(
        "swinir", scale=scale, width=16, depth=(2,), heads=2, window=8, upsampler=upsampler
    )
    low = functional.interpolate(torch.rand(2, 1, 6, 6), size=24, mode="bicubic")
    expected = functional.interpolate(low, scale_factor=scale, mode="bilinear")
    with torch.no_grad():
        found = network(low)
    inner = (slice(None), slice(None), slice(scale, -scale), slice(scale, -scale))
    assert (found - expected)[inner].abs().mean() < 0.1
    assert found.shape == expected.shape


def test_beats_bicubic_and_spandrel_opens_the_weights(shapes: Path, tmp_path: Path) -> None:
    command(shapes, tmp_path / "x2.safetensors", "--steps=80")
    with safe_open(tmp_path / "x2.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["sr-train"])
    assert facts["psnr"]["network"] > facts["psnr"]["bicubic"] + 0.3
    assert set(facts["psnr_per_band"]) == set(lcz.SEN2.bands)
    found = ModelLoader("cpu").load_from_file(tmp_path / "x2.safetensors")
    assert (found.architecture.id, found.scale, found.input_channels) == ("SwinIR", 2, 1)
    assert found.model.embed_dim == 8


def test_same_seed_same_file_other_seed_other_weights(prepared: Path, tmp_path: Path) -> None:
    one = command(prepared, tmp_path / "a", "--steps=2")
    assert command(prepared, tmp_path / "b", "--steps=2") == one
    command(prepared, tmp_path / "c", "--steps=2", "--seed=1")
    weights = [load_file(tmp_path / name)["conv_first.weight"] for name in "ac"]
    assert not torch.equal(*weights)


def test_goes_on_after_a_crash(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=6")
    monkeypatch.setattr(training, "SAVE_SECONDS", 0)
    draw, drawn = training.Trainee.draw, []

    def crash_once(self: training.Trainee, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(step)
        if drawn == [0, 1, 2, 3]:
            raise OSError("the machine is gone")
        return draw(self, step)

    monkeypatch.setattr(training.Trainee, "draw", crash_once)
    with pytest.raises(SystemExit, match="1"):
        command(prepared, tmp_path / "out", "--steps=6")
    assert not (tmp_path / "out").exists()
    assert command(prepared, tmp_path / "out", "--steps=6") == whole
    assert drawn == [0, 1, 2, 3, 3, 4, 5]


def stop_after_training(src: Path, dst: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the checkpoint of the second and last step."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "SAVE_SECONDS", 0)
        patch.setattr(quality, "errors", lambda *_: 1 / 0)
        with pytest.raises(SystemExit, match="1"):
            command(src, dst, "--steps=2")


def test_goes_on_after_the_last_step(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=2")
    stop_after_training(prepared, tmp_path / "out", monkeypatch)
    assert command(prepared, tmp_path / "out", "--steps=2") == whole


def test_broken_partial_is_discarded(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=2")
    stop_after_training(prepared, tmp_path / "out", monkeypatch)
    (tmp_path / "out.partial").write_bytes(b"half a checkpoint")
    assert command(prepared, tmp_path / "out", "--steps=2") == whole


def test_goes_on_after_kill_9(prepared: Path, tmp_path: Path) -> None:
    whole = command(prepared, tmp_path / "whole", "--steps=60")
    dst = tmp_path / "out"
    flags = line(prepared, dst, "--steps=60")
    code = (
        "import sys; from stages.sr_train import main, training; from shared import cli;"
        "training.SAVE_SECONDS = 0; cli.main(main.run, sys.argv[1:])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *flags], cwd=ROOT, stderr=-3, stdout=-3)
    partial = dst.with_name("out.partial")
    while not partial.exists() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert partial.exists()
    assert command(prepared, dst, "--steps=60") == whole


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--scale=5", "--scale: expected 2 to 4, found 5"),
        ("--steps=0", "--steps: expected more than 0"),
        ("--width=9", "--width: expected a multiple of --heads 2, found 9"),
        ("--architecture=vdsr", "--architecture: expected swinir, found 'vdsr'"),
        ("--upsampler=bicubic", "--upsampler: expected one of"),
        ("--precision=half", "--precision: expected float32 or bfloat16"),
        ("--device=tpu", "--device: expected auto, cpu or cuda"),
        ("--window=32", "expected sides of scale × window = 64 pixels, found 32 × 32"),
        ("--stepz=4", "did you mean --steps"),
    ],
)
def test_refuses(lcz42: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(lcz42, lcz42.with_name("out"), flag)
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
