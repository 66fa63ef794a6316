"""teacher: what the product holds, shards, going on after a kill, the refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from shared import cli, lcz, model, patches, scores
from shared.learn import networks
from stages.teacher import main as stage
from tests.conftest import pixels, write_raw

QUICK = {
    "architecture": "test_resnet", "size": "32", "epochs": "1", "batch": "16", "device": "cpu",
    "members": "2",
}  # fmt: skip


def line(train: Path, test: Path, dst: Path, *flags: str) -> list[str]:
    """Quick settings, each unless a flag says otherwise."""
    given = {flag[2:].partition("=")[0] for flag in flags}
    quick = [f"--{name}={value}" for name, value in QUICK.items() if name not in given]
    return [f"--train={train}", f"--test={test}", f"--dst={dst}", *quick, *flags]


def command(train: Path, test: Path, dst: Path, *flags: str) -> Path:
    """Run the stage as its container does."""
    cli.main(stage.run, line(train, test, dst, *flags))
    return dst


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("mode", ["rand", "randrgb", "sar"])
def test_product_is_what_its_onnx_files_say(
    prepared: Path, prepared_test: Path, tmp_path: Path, mode: str
) -> None:
    dst = command(prepared, prepared_test, tmp_path / "teacher", f"--mode={mode}")
    assert {path.name for path in dst.iterdir()} == {
        "confusion.csv", "confusion.png", "curves.csv", "curves.png", "member-01.onnx",
        "member-02.onnx", "metrics.json", "model.json", "test_labels.npy", "test_logits.npy",
        "test_scores.npy", "train_labels.npy", "train_logits.npy",
    }  # fmt: skip
    each = []
    with patches.read(prepared_test) as source:
        for card in model.load(dst):
            assert len(card.bands) == 3
            assert (card.bands[2] in lcz.SEN1.bands) == (mode == "sar")
            images = model.prepare(model.scaled(source, card.bands, slice(0, 17)), card)
            session = networks.onnxruntime.InferenceSession(dst / card.file)
            each.append(session.run(["logits"], {"image": images})[0])
    np.testing.assert_allclose(np.mean(each, 0), np.load(dst / "test_logits.npy"), atol=1e-4)
    expected = np.mean([scores.softmax(said) for said in each], 0)
    np.testing.assert_allclose(np.load(dst / "test_scores.npy"), expected, atol=1e-5)
    assert np.load(dst / "train_logits.npy").shape == (34, 17)
    np.testing.assert_array_equal(np.load(dst / "train_labels.npy"), np.arange(34) % 17)


def test_it_learns(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    """Brightness tells the classes apart: more than chance after a few epochs."""
    flags = ("--members=1", "--epochs=25", "--lr=0.05", "--augment=false")
    dst = command(prepared, prepared_test, tmp_path / "teacher", *flags)
    curves = (dst / "curves.csv").read_text().splitlines()
    first, last = (float(curves[i].split(",")[2]) for i in (1, -1))
    assert last < 0.75 * first
    accuracy = json.loads((dst / "metrics.json").read_text())["overall_accuracy"]
    assert accuracy > 2 / 17


def test_shard_makes_the_same_member(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    whole = command(prepared, prepared_test, tmp_path / "whole")
    second = command(prepared, prepared_test, tmp_path / "second", "--shard=2/2")
    name = "member-02.onnx"
    assert (second / name).read_bytes() == (whole / name).read_bytes()
    assert [card.file for card in model.load(second)] == [name]
    assert model.load(second)[0] == model.load(whole)[1]


def test_goes_on_after_a_kill(prepared: Path, prepared_test: Path, tmp_path: Path) -> None:
    flags = ("--members=1", "--epochs=4")
    whole = command(prepared, prepared_test, tmp_path / "whole", *flags)
    given = line(prepared, prepared_test, tmp_path / "cut", *flags)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.teacher.main", *given], stderr=subprocess.DEVNULL
    )
    checkpoint = tmp_path / "cut.partial" / "work" / "member-01.ckpt"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert content(command(prepared, prepared_test, tmp_path / "cut", *flags)) == content(whole)
    assert not (tmp_path / "cut.partial").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--mode=rgb", "--mode: expected rand, randrgb, sar, found 'rgb'"),
        ("--architecture=resnet19", "expected a timm or torchvision name, found 'resnet19'; near"),
        ("--members=0", "--members: expected at least 1, found 0"),
        ("--shard=3/2", "--shard: expected 1 to n before the slash, found '3/2'"),
        ("--epochs=0", "--epochs: expected at least 1, found 0"),
        ("--size=4", "--size: expected 16 to 1024 pixels, found 4"),
        ("--device=tpu", "--device: expected auto, cpu or cuda, found 'tpu'"),
        ("--lr=1e30", "training diverged in epoch 1; lower --lr"),
        ("--epoch=3", "--epoch: no such flag; did you mean --epochs?"),
    ],
)
def test_refuses(prepared, prepared_test, tmp_path, capfd, flag, message) -> None:  # type: ignore[no-untyped-def]
    refused(prepared, prepared_test, tmp_path, flag)
    heard = capfd.readouterr().err
    assert message in heard
    assert [line for line in heard.splitlines() if line.startswith("error: ")]


def refused(train: Path, test: Path, tmp_path: Path, *flags: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="2"):
        command(train, test, tmp_path / "out" / "teacher", *flags)
    assert sorted(tmp_path.rglob("*")) == before  # nothing left behind


def test_refuses_files(prepared, prepared_test, lcz42, tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    refused(lcz42, prepared_test, tmp_path)
    assert "sen2: no mean and std inside; run prepare on it first" in capfd.readouterr().err
    arrays = pixels(5)
    arrays["label"][:] = np.eye(17)[4]
    single = write_raw(tmp_path / "single.h5", arrays)
    with h5py.File(single, "a") as file:
        file["sen2"].attrs.update(mean=np.ones(10), std=np.ones(10))
    refused(single, prepared_test, tmp_path)
    assert "label: one class only" in capfd.readouterr().err
    with h5py.File(prepared_test, "a") as file:
        file.attrs["classes"] = [f"class {i}" for i in range(17)]
    refused(prepared, prepared_test, tmp_path)
    heard = capfd.readouterr().err
    assert f"{prepared_test}: expected 17 classes 01_CompactHighRise" in heard
    assert heard.count("\n") == 1
