"""Real Sentinel-2 patches and EuroSAT pictures through the stages, each in its environment."""

import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import write_raw

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.data


def stage(name: str, *flags: str) -> None:
    """Run a stage under its own pins; its log is shown when it fails."""
    module = name.replace("-", "_")
    python = ROOT / ".venvs" / module / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no environment for {name}: make .venvs/{module}")
    command = [str(python), "-m", f"stages.{module}.main", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def quarters(real: Path, count: int) -> np.ndarray:
    """(count, 32, 32, 10) reflectance: the upper left quarters of real Level-2A patches."""
    return np.load(real / "sentinel2" / "l2a_patches.npy")[:count, :32, :32] / 1e4


def test_sentinel2_is_enlarged_described_and_shown(real: Path, tmp_path: Path) -> None:
    sen2 = quarters(real, 24)
    raw = write_raw(tmp_path / "raw.h5", {"sen2": sen2, "label": np.ones((24, 1))})
    with h5py.File(raw, "r+") as file:
        file.attrs["classes"] = ["Europe"]
    patches, weights = tmp_path / "prepare.h5", tmp_path / "x2.safetensors"
    large, features = tmp_path / "sr-swinir.h5", tmp_path / "tda.h5"
    stage("prepare", f"--src={raw}", f"--dst={patches}")
    small = ("--width=12", "--depth=1", "--heads=2", "--batch=32", "--steps=20", "--lr=3e-3")
    stage("sr-train", f"--src={patches}", f"--dst={weights}", *small)
    stage("sr-swinir", f"--src={patches}", f"--weights={weights}", f"--dst={large}")
    stage("tda", f"--src={large}", f"--dst={features}")
    page = tmp_path / "report.html"
    stage("report", f"--src={patches},{large},{features}", f"--dst={page}")
    with h5py.File(patches) as file:
        np.testing.assert_array_equal(file["sen2"][:] / 1e4, sen2)
    with h5py.File(large) as file:
        enlarged = file["sen2"][:].reshape(24, 32, 2, 32, 2, 10).mean((2, 4)) / 1e4
    assert np.abs(enlarged - sen2).mean() < 0.25 * sen2.std()
    with h5py.File(features) as file:
        assert file["features"].shape == (24, 18000)
        assert (file["features"][:].reshape(24, 10, 2, -1).max(-1) > 0).mean() > 0.9
    assert page.read_text().count("data:image/png;base64") >= 3


def test_eurosat_becomes_a_bundle_that_reads_back_alike(real: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    for folder in sorted((real / "eurosat").iterdir()):
        for path in sorted(folder.glob("*.jpg"))[:40]:
            (pictures / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, pictures / folder.name / path.name)
    patches = tmp_path / "prepare"
    splits = (f"--train={patches / 'training.h5'}", f"--test={patches / 'testing.h5'}")
    learn = ("--size=32", "--batch=64", "--epochs=1")
    teacher, student, onnx = tmp_path / "teacher", tmp_path / "distill", tmp_path / "export"
    stage("eurosat", f"--src={pictures}", f"--dst={patches}", "--test_share=0.2")
    stage("teacher", *splits, f"--dst={teacher}", *learn, "--members=1", "--lr=0.02")
    stage("distill", *splits, f"--teacher={teacher}", f"--dst={student}", *learn, "--lr=0.002")
    stage("export", f"--src={student}", *splits, f"--dst={onnx}", "--calibration_per_class=8")
    stage("voyager", f"--src={onnx}", *splits, f"--dst={tmp_path / 'b'}", "--calibration=200")
    assert json.loads((onnx / "model.json").read_text())["members"][0]["classes"][0] == "AnnualCrop"
    folders = sorted(path.name for path in (tmp_path / "b" / "val").iterdir())
    assert len(folders) == 10
    accuracy = json.loads((tmp_path / "b" / "readback.json").read_text())["accuracy"]
    lost = accuracy["hdf5"]["overall_accuracy"] - accuracy["png"]["overall_accuracy"]
    assert abs(lost) <= 0.03
