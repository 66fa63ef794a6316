"""report: networks for super-resolution across sensors, and scenes that one enlarged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import StageError
from stages.report import inputs, sensors
from tests.stages.test_report import Balanced, command

PNG = b"\x89PNG\r\n\x1a\n"


def compared(folder: Path) -> Path:
    """What sisr-eval leaves: the cubic and one network, of which only one has a displacement."""
    folder.mkdir(parents=True)
    metrics: dict[str, Any] = {
        "bicubic": {"mean": {"psnr": 31.234, "frr": 0.0}, "B2": {"psnr": 99.0}},
        "10m-x2-<b>": {"mean": {"psnr": 33.5, "frr": 41.27, "flow_mean": 0.1236}},
    }
    told = {"bands": ["B2", "B8"], "factor": 2, "metrics": metrics}
    (folder / "metrics.json").write_text(json.dumps(told))
    np.save(folder / "fft_freqs.npy", np.zeros(3))
    (folder / "mosaic.png").write_bytes(PNG)
    return folder


def test_page_across_sensors_alone(tmp_path: Path) -> None:
    scene = tmp_path / "scene-sr" / "city"
    scene.mkdir(parents=True)
    (scene / "image.tif").write_bytes(b"")
    (scene / "quicklook.png").write_bytes(PNG)
    page = command(tmp_path / "report.html", compared(tmp_path / "sisr-eval" / "10m-x2"), scene)
    text = " ".join(Balanced(page).text)
    assert "image PSNR, dB FRR, % displacement, pixels" in text
    assert "bicubic 31.23 0.0 – 10m-x2-<b> 33.50 41.3 0.124" in text
    assert "×2; B2 B8" in text
    assert page.count("data:image/png;base64,") == 2
    assert "no bundle yet" not in text


def test_products_that_lack_what_is_shown_are_refused(tmp_path: Path) -> None:
    folder = compared(tmp_path / "eval")
    (folder / "metrics.json").write_text(json.dumps({"metrics": {"bicubic": {"B2": {}}}}))
    (product,) = inputs.collect((folder,))
    assert product.kind == "sensors"
    with pytest.raises(StageError, match="expected measures as sisr-eval writes them"):
        sensors.describe(product)
    scene = tmp_path / "scene"
    scene.mkdir()
    (scene / "image.tif").write_bytes(b"")
    with pytest.raises(StageError, match="expected the picture of a scene, found none"):
        sensors.describe_scene(inputs.collect((scene,))[0])
