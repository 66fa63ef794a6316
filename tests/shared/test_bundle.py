"""A bundle's YAML: paths, labels, order of the pictures; pictures to network input."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from shared.errors import StageError
from shared.voyager import bundle, inference

PLACE = bundle.sdk_folder("tiny")
STEPS: dict[str, Any] = {
    "resize": {
        "width": 4, "height": 4, "half_pixel_centers": True, "interpolation": "bilinear",
    },
    "torch-totensor": {"scale": True},
    "normalize": {"mean": "0.5, 0, 0.25", "std": "0.5, 1, 0.25"},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    task = {"model_name": "tiny", "preprocess": [{name: args} for name, args in STEPS.items()]}
    content = {
        "name": "tiny",
        "pipeline": [{"classification": task}],
        "models": {"tiny": {"weight_path": f"{PLACE}/model.onnx", "dataset": "patches"}},
        "datasets": {"patches": {"labels_path": f"{PLACE}/labels.txt", "val_data": "val"}},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "labels.txt").write_text("water\n\n trees \n")
    for name in ("10_trees/b.png", "01_water/z.png", "01_water/a.png"):
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "val" / name).write_bytes(b"")
    return tmp_path


def test_what_the_yaml_says(folder: Path) -> None:
    opened = bundle.open_bundle(folder)
    assert opened.steps == STEPS
    assert opened.network == folder / "model.onnx"
    assert opened.labels == ("water", "trees")
    names = [(path.relative_to(folder / "val").as_posix(), k) for path, k in opened.pictures()]
    assert names == [("01_water/a.png", 0), ("01_water/z.png", 0), ("10_trees/b.png", 1)]


def test_path_outside_the_bundle(folder: Path) -> None:
    with pytest.raises(ValueError, match="does not lie in"):
        bundle.open_bundle(folder).path("/etc/labels.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "expected one YAML, found"), ("a: [", "not YAML"), ("a: 1", "a mapping with a name")],
)
def test_unreadable_yaml(folder: Path, text: str | None, message: str) -> None:
    if text is None:
        (folder / "second.yaml").write_text("name: x")
    else:
        (folder / "tiny.yaml").write_text(text)
    with pytest.raises(StageError, match=message):
        bundle.open_bundle(folder)


def test_pictures_are_enlarged_on_8_bits_and_normalised() -> None:
    """Bilinear, half-pixel centres: 0 and 10 become 0, 2.5, 7.5, 10, of which 8 bits keep 3, 8."""
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[:, :, 1, 1] = 10
    inputs = inference.preprocess(picture, STEPS)
    assert inputs.shape == (1, 3, 4, 4)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs[0, 0], -1)
    np.testing.assert_allclose(inputs[0, 2], -1)
    levels = 255 * inputs[0, 1]
    np.testing.assert_allclose(levels, np.broadcast_to([0, 3, 8, 10], (4, 4)), atol=1e-4)
