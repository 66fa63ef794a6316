"""`make sisr` on a few small pairs: from drawn land to an enlarged city and a report."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("data/test-sisr")
SMALL = (
    "FLAGS-two-sensors=--sites 3 --patches 2 --size 64", "FLAGS-city=--size 96",
    "FLAGS-register=--width 4 --epochs 1 --lr 1e-3",
    "FLAGS-sisr-train=--architecture carn-1x1x4g2sw --epochs 1", "FLAGS-sisr-eval=--panel 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Path:
    shutil.rmtree(ROOT / HOME, ignore_errors=True)
    words = ["make", "sisr", "RUNNER=local", f"D={HOME}", *SMALL]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-2000:], done.stderr[-6000:])
    assert done.returncode == 0
    return ROOT / HOME


def test_the_chain_ends_with_a_finer_city(made: Path) -> None:
    networks = made / "sisr-train" / "two-sensors"
    modes = {path.name: json.loads((path / "sisr.json").read_text())["mode"]
             for path in networks.iterdir() if path.is_dir()}  # fmt: skip
    assert modes == {
        "10m-x2-baseline": "baseline", "10m-x2-geometric": "geometric",
        "10m-x2-radiometric": "geometric+radiometric",
    }  # fmt: skip
    with (made / "sisr-eval/two-sensors/10m-x2/metrics.csv").open(encoding="utf-8") as file:
        means = {line["image"]: line for line in csv.DictReader(file) if line["band"] == "mean"}
    assert {"bicubic", "target", "truth"} <= means.keys() - modes.keys()
    assert all(float(means[name]["flow_mean"]) >= 0 for name in modes)
    scene = made / "scene-sr/city/two-sensors/10m-x2"
    assert json.loads((scene / "scene-sr.json").read_text())["metres"] == [5, 5]
    assert (scene / "quicklook.png").is_file()
    assert "Across sensors" in (made / "report.html").read_text(encoding="utf-8")
    assert not list(made.rglob("*.partial*"))
    shutil.rmtree(made)
