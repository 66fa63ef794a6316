"""SwinIR from its trainer to a scene: its windows lie on one grid, whatever tiles and region."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from shared.scenes import Grid, Header, create_scene
from tests.e2e.inputs import ROOT, under

BANDS = ("B4", "B8", "B11")
# A network as sisr-train leaves it, with random weights, which hang on their windows the most.
TRAINED = """
import sys; from pathlib import Path; import torch; from shared import sisr_networks
from shared.sisr import SENTINEL2_MTF, cards
from stages.sisr_train import export; from stages.sisr_train.objective import Scale
here, bands = Path(sys.argv[1]) / "trained", ("B4", "B8", "B11")
here.mkdir()
torch.manual_seed(3)
network = sisr_networks.build("swinir-1x2x6h2w4", 3, 3, 2)
for name, tensor in network.network.named_parameters():
    if "table" in name or "qkv" in name:
        tensor.data.mul_(9)
torch.nn.init.normal_(network.network.last.weight, std=0.06)
scale = Scale((0.1, 0.25, 0.2), (0.03, 0.08, 0.05))
export.export_network(network, scale, here / cards.ONNX)
card = cards.Card(
    bands, bands, 10.0, 2, network.margin, "swinir-1x2x6h2w4", "baseline",
    {band: SENTINEL2_MTF[band] for band in bands}, scale.mean, scale.std, network.grid,
)
cards.write(here, card)
"""
READ = """
import sys; import numpy; import rasterio; from pathlib import Path
for folder in map(Path, sys.argv[1:]):
    with rasterio.open(folder / "image.tif") as image:
        numpy.save(folder.with_suffix(".npy"), image.read())
"""


def run(stage: str, *words: str | Path) -> None:
    python = ROOT / ".venvs" / stage / "bin" / "python"
    done = subprocess.run([python, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def write_scene(path: Path) -> Path:
    """A smooth scene of 150 x 133 pixels, neither a multiple of the window."""
    rng, (rows, columns) = np.random.default_rng(5), np.mgrid[:150, :133]
    waves = [np.sin(rows / rng.uniform(2, 20) + columns / rng.uniform(2, 20)) for _ in range(10)]
    values = np.stack([2000 + 700 * wave for wave in waves], -1).astype(np.uint16)
    with create_scene(path, values.shape[:2], Header(Grid.utm(32632, 6e5, 53e5))) as sink:
        for window in sink.todo():
            sink.put(window, values[window.slices])
    return path


def test_tiles_and_regions_show_no_windows(tmp_path: Path) -> None:
    for stage in ("sisr_train", "sisr_export", "scene_sr"):
        if not (ROOT / ".venvs" / stage / "bin" / "python").exists():
            pytest.skip(f"no .venvs/{stage}: make .venvs/{stage}")
    under("sisr_train", TRAINED, tmp_path)
    exported, scene = tmp_path / "exported", write_scene(tmp_path / "scene.h5")
    run("sisr_export", "-m", "stages.sisr_export.main", f"--src={tmp_path / 'trained'}",
        f"--dst={exported}", "--fidelity=1", "--shift=1")  # fmt: skip
    checks = json.loads((exported / "checks.json").read_text())
    assert (checks["passed"], checks["grid"]) == (True, 4)  # two limits are for trained networks
    apart = next(check for check in checks["checks"] if check["name"] == "off grid")
    assert apart["value"] > 3e-4  # off the grid, many numbers are others
    ways = {
        "whole": ("--tile=8192",), "tiles": ("--tile=90",),
        "part": ("--tile=70", "--region=31,42,122,149", "--region_in=pixels"),
    }  # fmt: skip
    for name, flags in ways.items():
        run("scene_sr", "-m", "stages.scene_sr.main", f"--src={scene}", f"--model={exported}",
            f"--dst={tmp_path / name}", "--threads=1", *flags)  # fmt: skip
    run("scene_sr", "-c", READ, *(tmp_path / name for name in ways))
    whole, tiles, part = (np.load(tmp_path / f"{name}.npy").astype(int) for name in ways)
    assert whole.shape == (len(BANDS), 300, 266)
    for found, expected in ((tiles, whole), (part, whole[:, 84:298, 62:244])):
        assert np.abs(found - expected).max() <= 1  # float32, rounded
        assert (found != expected).mean() < 1e-3
